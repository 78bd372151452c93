"""What the log must not tell."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from workers.logs import configure_logs


@pytest.fixture
def logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logs("json")
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize("library", ["httpx", "httpcore", "procrastinate"])
def test_libraries_only_warn(library: str) -> None:
    assert not logging.getLogger(library).isEnabledFor(logging.INFO)
    assert logging.getLogger(library).isEnabledFor(logging.WARNING)
