"""The loader of db/sql: what it understands and what it refuses."""

import pytest

from db.statements import Statement, affected_rows, aggregates, load, parse

GOOD = """-- A file may begin with words.

-- name: thing_get :one
-- parameters: thing_id, owner
-- Why it is so; $9 in a comment is no parameter.
SELECT id FROM things WHERE id = $1 AND owner = $2 -- not $7

-- name: thing_count :one
-- parameters: none
SELECT count(*) FROM things;
"""


def test_statements_come_with_name_cardinality_parameters_and_sql():
    assert parse(GOOD, source="thing.sql") == {
        "thing_get": Statement(
            "thing_get",
            "one",
            ("thing_id", "owner"),
            "SELECT id FROM things WHERE id = $1 AND owner = $2 -- not $7",
        ),
        "thing_count": Statement("thing_count", "one", (), "SELECT count(*) FROM things"),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-- name: a :one\nSELECT 1", "the line after its name"),
        ("-- name: a :one\n-- parameters: x\nSELECT 1", "lists 1 parameters but uses none"),
        ("-- name: a :one\n-- parameters: x\nSELECT $2", "uses \\$2"),
        ("-- name: a :one\n-- parameters: none\nSELECT $1", "lists 0 parameters but uses \\$1"),
        ("-- name: a :one\n-- parameters: x, x\nSELECT $1, $2", "distinct"),
        ("-- name: a :some\n-- parameters: none\nSELECT 1", ":some is none of"),
        ("-- name: A-b :one\n-- parameters: none\nSELECT 1", "lower case"),
        ("-- name: a\n-- parameters: none\nSELECT 1", "malformed"),
        ("-- name: a :one\n-- parameters: none\n-- only words\n", "no SQL"),
        ((GOOD + GOOD), "thing_get is there twice"),
    ],
)
def test_malformed_file_is_refused_with_file_and_statement(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse(text, source="thing.sql")
    assert "thing.sql" in str(caught.value)


def test_arguments_are_bound_in_the_order_of_the_placeholders():
    statement = parse(GOOD, source="thing.sql")["thing_get"]
    assert statement.bind({"owner": "o", "thing_id": 1}) == [1, "o"]


@pytest.mark.parametrize("given", [{}, {"thing_id": 1}, {"thing_id": 1, "owner": 2, "x": 3}])
def test_wrong_arguments_are_named(given):
    statement = parse(GOOD, source="thing.sql")["thing_get"]
    with pytest.raises(TypeError, match=r"thing_get takes \(thing_id, owner\)"):
        statement.bind(given)


async def test_a_statement_runs_only_as_its_cardinality():
    statement = parse(GOOD, source="thing.sql")["thing_count"]
    with pytest.raises(TypeError, match=":one, not :many"):
        await statement.many(None)


def test_every_file_of_the_package_is_well_formed():
    assert "job_queue" in aggregates()
    for aggregate in aggregates():
        assert load(aggregate)


@pytest.mark.parametrize(("tag", "count"), [("UPDATE 3", 3), ("INSERT 0 2", 2), ("LISTEN", 0)])
def test_rows_touched_are_read_from_the_command_tag(tag, count):
    assert affected_rows(tag) == count
