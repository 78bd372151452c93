"""Every named statement prepares on the migrated schema and answers what its repository reads."""

import dataclasses
import importlib
import pkgutil
from typing import Any

import asyncpg
import pytest

import db.repositories
from db.statements import aggregates, load

STATEMENTS = {name: statement for file in aggregates() for name, statement in load(file).items()}
MODULES = [
    importlib.import_module(f"db.repositories.{module.name}")
    for module in pkgutil.iter_modules(db.repositories.__path__)
]
ROWS: dict[str, Any] = {
    name: kind for module in MODULES for name, kind in getattr(module, "ROWS", {}).items()
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_statement_prepares(connection: asyncpg.Connection, name: str) -> None:
    statement = STATEMENTS[name]
    prepared = await connection.prepare(statement.sql)
    assert len(prepared.get_parameters()) == len(statement.parameters)


@pytest.mark.parametrize("name", sorted(ROWS))
async def test_row_has_the_fields_of_its_dataclass(
    connection: asyncpg.Connection, name: str
) -> None:
    prepared = await connection.prepare(STATEMENTS[name].sql)
    columns = {attribute.name for attribute in prepared.get_attributes()}
    assert columns == {field.name for field in dataclasses.fields(ROWS[name])}
