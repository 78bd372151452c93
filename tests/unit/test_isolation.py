"""The guard rails of the test suite itself."""

import os
import socket

import pytest


def test_unit_tests_cannot_open_sockets() -> None:
    with (
        socket.socket() as plain,
        pytest.raises(pytest.fail.Exception, match="opened a socket"),
    ):
        plain.connect(("127.0.0.1", 9))
    with pytest.raises(pytest.fail.Exception, match="opened a socket"):
        socket.getaddrinfo("localhost", 9)


def test_environment_names_no_database_service_or_secret() -> None:
    for name in os.environ:
        assert not name.startswith(("YTEMPIRE_", "AWS_", "PGHOST", "OPENAI_"))
        assert not name.endswith("_API_KEY")
    assert "DATABASE_URL" not in os.environ
