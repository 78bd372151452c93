"""Failpoints: off for whoever does not arm them, and nothing that is shipped does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.failpoints import Point, arm, reach

ROOT = Path(__file__).parents[3]
SHIPPED = [
    file
    for package in ("pipeline", "db", "workers", "migrations")
    for file in (ROOT / package).rglob("*.py")
]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


async def test_points_do_nothing_until_they_are_armed() -> None:
    for point in Point:
        await reach(point, "script")


async def test_armed_trigger_is_told_point_and_place_and_its_error_is_raised() -> None:
    told: list[tuple[Point, str]] = []

    async def trigger(point: Point, place: str) -> None:
        told.append((point, place))
        if point is Point.BEFORE_COMMIT:
            raise ConnectionError("pulled")

    arm(trigger)
    await reach(Point.BEFORE_INTENT, "script")
    with pytest.raises(ConnectionError, match="pulled"):
        await reach(Point.BEFORE_COMMIT, "video.script")
    assert told == [(Point.BEFORE_INTENT, "script"), (Point.BEFORE_COMMIT, "video.script")]


def test_nothing_that_is_shipped_arms_a_point() -> None:
    """Only `reach` and `Point` are used; the module itself reads no variable, file or setting."""
    for file in SHIPPED:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        own = file.name == "failpoints.py"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pipeline.failpoints":
                assert {name.name for name in node.names} <= {"Point", "reach"}, file
            if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
                assert "failpoints" not in {name.name for name in node.names}, file
            if isinstance(node, ast.Import):
                assert "pipeline.failpoints" not in {name.name for name in node.names}, file
            if own and isinstance(node, ast.Import | ast.ImportFrom):
                assert getattr(node, "module", None) in {"collections.abc", "enum"}, file
    # By a string nothing is imported either.
    assert not [file for file in SHIPPED if re.search(r"['\"][\w.]*failpoints", file.read_text())]


def test_every_point_is_passed_somewhere() -> None:
    passed = {
        name
        for file in SHIPPED
        for name in re.findall(r"reach\(\s*Point\.(\w+)", file.read_text(encoding="utf-8"))
    }
    assert passed == {point.name for point in Point}
