"""Installations for acceptance tests."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.line import Line
from tests.services.youtube_server import YouTubeServer


@pytest.fixture
def line(database_url: str, make_data_dir: Callable[[], Path]) -> Iterator[Line]:
    """An installation on a migrated database of the session's server."""
    with Line(make_data_dir(), database_url) as installation:
        yield installation


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    with YouTubeServer() as server:
        yield server


@pytest.fixture
def on_youtube(line: Line, youtube: YouTubeServer) -> Line:
    line.settings |= {
        "YTEMPIRE_HOST_PROVIDER": "youtube",
        "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
        "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
        "YTEMPIRE_SECRET_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode(),
        "YTEMPIRE_LOG_FORMAT": "json",
    }
    return line
