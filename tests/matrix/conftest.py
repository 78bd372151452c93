"""One theatre a test process, one scene a test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pipeline.domain import StageName
from tests.matrix.scenes import Scene
from tests.matrix.theatre import Theatre
from tests.services.postgres import PostgresServer


@pytest.fixture(scope="session")
def theatre(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    built = Theatre(postgres_server, tmp_path_factory.mktemp("theatre"))
    try:
        yield built
    finally:
        built.close()


@pytest.fixture
def scene_of(theatre: Theatre) -> Iterator[Callable[[StageName], Scene]]:
    """scene_of(stage): a run that is about to begin the stage."""
    with ExitStack() as stack:
        yield lambda stage: stack.enter_context(theatre.scene(stage))
