"""What every test may use: a scrubbed environment and real PostgreSQL databases.

database_url         a migrated database of its own, dropped after the test
empty_database_url   the same without tables
pool                 an asyncpg pool on `database_url`
connection           a connection to a shared migrated database, rolled back after the test
make_data_dir        makes throw-away data folders with short paths; stops what runs in them
"""

import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import hypothesis
import pytest

from db import embedded
from db.embedded_folder import existing_folder
from tests.services.postgres import PostgresServer, SessionFolder, remove_abandoned

# A deadline would be a timed assertion: it fails on a busy machine, not on a wrong result.
hypothesis.settings.register_profile("ytempire", deadline=None)
hypothesis.settings.load_profile("ytempire")

UNIT_TESTS = Path(__file__).parent / "unit"
SCRUBBED = re.compile(r"DATABASE_URL|YTEMPIRE_.*|.*_API_KEY|AWS_.*|PG[A-Z]+|OPENAI_.*|REDDIT_.*")
FOLDER = pytest.StashKey[Path]()
OWNED_FOLDER = pytest.StashKey[SessionFolder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pg",
        type=int,
        choices=(18, 16, 15),
        default=18,
        help="major version of PostgreSQL: 18 and 16 are bundled, 15 must be installed",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts background jobs with SIGINT ignored, and children would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if SCRUBBED.fullmatch(name)]:
        del os.environ[name]
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[FOLDER] = Path(worker_input["session_folder"])
        return
    remove_abandoned()
    owned = SessionFolder()
    config.stash[OWNED_FOLDER] = owned
    config.stash[FOLDER] = owned.path


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["session_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    owned = config.stash.get(OWNED_FOLDER, None)
    if owned is not None:
        owned.remove()


@pytest.fixture(scope="session")
def worker_name() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config, worker_name: str) -> PostgresServer:
    server = PostgresServer(pytestconfig.stash[FOLDER], worker_name)
    server.start(pytestconfig.getoption("--pg"))
    return server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=False) as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    from db.pool import open_pool

    opened = await open_pool(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@pytest.fixture
async def connection(shared_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    from db.pool import open_pool

    opened = await open_pool(shared_database_url, min_size=1, max_size=1)
    try:
        async with opened.acquire() as acquired:
            transaction = acquired.transaction()
            await transaction.start()
            try:
                yield acquired
            finally:
                await transaction.rollback()
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def make_data_dir(pytestconfig: pytest.Config, worker_name: str) -> Iterator[Callable[[], Path]]:
    made: list[Path] = []

    def make() -> Path:
        folder = pytestconfig.stash[FOLDER] / f"{worker_name}-{len(made)}"
        folder.mkdir(mode=0o755)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        embedded.stop(folder)
        if (placed := existing_folder(folder)) is not None:
            shutil.rmtree(placed)
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def no_network_in_unit_tests(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not request.path.is_relative_to(UNIT_TESTS):
        return

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("a unit test opened a socket; use a fake port, or move it to integration")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
