"""The reference names every command and every setting."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from workers.cli import app
from workers.settings import Settings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def commands(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from commands(sub, f"{path} {name}")
    else:
        yield path


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(app), "ytempire")))
def test_command_is_in_the_reference(command: str) -> None:
    assert f"`{command}" in (REFERENCE / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("variable", Settings.variables())
def test_setting_is_in_the_reference(variable: str) -> None:
    assert f"`{variable}`" in (REFERENCE / "settings.md").read_text(encoding="utf-8")
