"""Every test that docs/reliability.md names is there, and every cell of its matrix names one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_tests_that_are_named_exist() -> None:
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named <= there, named - there


def test_every_cell_has_its_test() -> None:
    matrix = PAGE.split("## The matrix")[1].split("## Chaos")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in matrix.splitlines()]
    keys = {row[0] for row in rows if len(row) == 2 and "`test_" in row[1]}
    cells = {key for row in rows if len(row) == 7 for key in re.split(r", ", ", ".join(row[1:]))}
    marks = {cell for cell in cells if re.fullmatch(r"[A-Z]\d?|[a-z]", cell)}
    assert len(marks) > 20
    assert marks == keys
