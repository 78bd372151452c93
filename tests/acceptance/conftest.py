"""Installations for acceptance tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.line import Line


@pytest.fixture
def line(database_url: str, make_data_dir: Callable[[], Path]) -> Iterator[Line]:
    """An installation on a migrated database of the session's server."""
    with Line(make_data_dir(), database_url) as installation:
        yield installation
