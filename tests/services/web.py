"""A real `ytempire serve` process, and the plain sockets that speak to it badly."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

PROGRAM = Path(sys.executable).with_name("ytempire")


@contextmanager
def serving(database_url: str, data_dir: Path, **settings: str) -> Iterator[str]:
    """The address of a server process that is stopped by SIGTERM, and must then end with 0."""
    process, address = start_server(database_url, data_dir, **settings)
    with process:
        try:
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
    assert code == 0, (data_dir / "serve.log").read_text()


def start_server(
    database_url: str, data_dir: Path, **settings: str
) -> tuple[subprocess.Popen[str], str]:
    """A server process and its address, once it listens."""
    environment = {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "HOME": str(data_dir),
        "YTEMPIRE_DATA_DIR": str(data_dir),
        "DATABASE_URL": database_url,
        "LANG": "C.UTF-8",
    } | settings
    with (data_dir / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [str(PROGRAM), "serve", "--port", "0"],
            env=environment,
            cwd=data_dir,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on http://"), (data_dir / "serve.log").read_text()
    return process, line.split()[-1]


def key_of(database_url: str, data_dir: Path, name: str, *options: str) -> dict[str, Any]:
    """Make a key at the command line; what it printed."""
    done = subprocess.run(
        [str(PROGRAM), "key", "create", name, "--json", *options],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "YTEMPIRE_DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def raw(address: str, request: bytes) -> bytes:
    """Send bytes as they are; all that comes back until the server closes or is silent."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def problem(response: httpx.Response, status: int) -> Mapping[str, Any]:
    """The problem of a response, which must be one of this status with a detail."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["detail"]
    assert document["request_id"] == response.headers["x-request-id"]
    return document
