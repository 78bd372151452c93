"""`account authorize` as a person and a browser meet it: a real command, a server that consents."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.acceptance.line import PROGRAM, Line
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Account

CANARY = "canary-do-not-tell"


@dataclass
class Asking:
    """A running `account authorize`; `url` is the one it printed."""

    process: subprocess.Popen[str]
    url: str = ""
    heard: str = ""

    def read_url(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.heard += text
            if text.startswith("http"):
                self.url = text.strip()
                return
        raise AssertionError(self.heard)

    @property
    def question(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def consent(self) -> str:
        """Where Google sends the browser back to."""
        return httpx.get(self.url).headers["location"]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, self.heard + err


class Desk:
    def __init__(self, line: Line, youtube: YouTubeServer) -> None:
        self.line, self.youtube = line, youtube
        self.asking: list[Asking] = []

    def person(self, channel: str | None = "UC_own", **options: Any) -> Account:
        account = self.youtube.world.add_account(
            channel,
            refresh_token=f"1//{CANARY}-refresh",
            client_secret=f"{CANARY}-secret",
            **options,
        )
        self.youtube.world.consent.person = account
        return account

    def client_file(self, **changed: Any) -> Path:
        file = self.line.data_dir / "client.json"
        installed = {
            "client_id": "client-1.apps.googleusercontent.com",
            "client_secret": f"{CANARY}-secret",
            "auth_uri": f"{self.youtube.root}/auth",
            "token_uri": self.youtube.token_uri,
        }
        file.write_text(json.dumps({"installed": installed | changed}))
        file.chmod(0o600)
        return file

    def ask(self, *arguments: str) -> Asking:
        self.line.settings["YTEMPIRE_GOOGLE_CLIENT_FILE"] = str(self.client_file())
        asking = Asking(
            subprocess.Popen(
                [
                    str(PROGRAM), "account", "authorize", "--email", "one@example.org",
                    "--no-browser", "--json", *arguments,
                ],
                env=self.line.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )  # fmt: skip
        self.asking.append(asking)
        asking.read_url()
        return asking


@pytest.fixture
def desk(on_youtube: Line, youtube: YouTubeServer) -> Iterator[Desk]:
    desk = Desk(on_youtube, youtube)
    yield desk
    for asking in desk.asking:
        if asking.process.poll() is None:
            asking.process.kill()
        asking.process.communicate()


def test_person_consents_and_the_account_serves_its_channel(desk: Desk) -> None:
    desk.line.add_small_channel("small", "--youtube-channel-id", "UC_own")
    desk.person()
    desk.youtube.world.consent.grant_life_seconds = 7 * 86400
    asking = desk.ask("--channel", "small", "--reserve", "--upload-limit", "9")
    question = asking.question
    assert question["code_challenge_method"] == "S256"
    assert len(question["state"]) >= 32
    assert question["login_hint"] == "one@example.org"
    assert (question["access_type"], question["prompt"]) == ("offline", "consent")
    scopes = {scope.rpartition("/")[2] for scope in question["scope"].split()}
    assert scopes == {
        "youtube.upload", "youtube.force-ssl", "youtube.readonly", "yt-analytics.readonly",
    }  # fmt: skip
    back = asking.consent()
    assert back.startswith("http://127.0.0.1:")
    assert "close this page" in httpx.get(back).text
    code, out, err = asking.end()
    assert code == 0, err
    added = json.loads(out)
    assert (added["email"], added["state"], added["channels"]) == (
        "one@example.org", "ready", ["small"],
    )  # fmt: skip
    assert (added["is_reserve"], added["upload_limit"]) == (True, 9)
    assert added["grant_expires_at"] is not None
    assert CANARY not in out + err
    # Once more, after the grant was revoked: what was said of it before stays.
    again = desk.ask()
    httpx.get(again.consent())
    assert again.end()[0] == 0
    (row,) = desk.line.json("account", "list")["items"]
    assert (row["is_reserve"], row["upload_limit"], row["state"]) == (True, 9, "ready")


def test_answer_with_another_state_is_refused_and_the_right_one_still_counts(desk: Desk) -> None:
    desk.person()
    asking = desk.ask()
    back = asking.consent()
    address = back.partition("?")[0]
    code = parse_qs(urlsplit(back).query)["code"][0]
    for query in (
        {"code": code, "state": "forged"},
        {"code": code},
        {"error": "access_denied", "state": "forged"},
    ):
        assert httpx.get(address, params=query).status_code == 400
    assert httpx.get(address + "favicon.ico").status_code == 404
    assert httpx.post(back).status_code == 404
    assert httpx.get(back, headers={"Host": "evil.example.org"}).status_code == 404
    with socket.create_connection(("127.0.0.1", urlsplit(back).port or 0)) as knock:
        knock.sendall(b"\x00" * 20_000)  # no request at all
    assert asking.process.poll() is None
    assert httpx.get(back).status_code == 200
    assert asking.end()[0] == 0


def test_denied_consent_stores_nothing(desk: Desk) -> None:
    asking = desk.ask()
    httpx.get(asking.consent())
    code, _, err = asking.end()
    assert code == 1
    assert "the grant was not given: access_denied" in err
    assert desk.line.json("account", "list")["items"] == []


def test_account_of_another_channel_is_refused_and_not_stored(desk: Desk) -> None:
    desk.line.add_small_channel("small", "--youtube-channel-id", "UC_own")
    desk.person("UC_other")
    asking = desk.ask("--channel", "small")
    httpx.get(asking.consent())
    code, _, err = asking.end()
    assert code == 4
    assert "belongs to the YouTube channel UC_other" in err
    assert desk.line.json("account", "list")["items"] == []


def test_grant_that_lacks_a_scope_is_refused_with_what_is_missing(desk: Desk) -> None:
    person = desk.person()
    desk.youtube.world.consent.granted = tuple(
        scope for scope in person.scopes if not scope.endswith("force-ssl")
    )
    asking = desk.ask()
    httpx.get(asking.consent())
    code, _, err = asking.end()
    assert code == 1
    assert "youtube.force-ssl" in err
    assert desk.line.json("account", "list")["items"] == []


def test_code_without_its_verifier_is_worth_nothing(desk: Desk) -> None:
    """A code that was overheard: the server asks for what never left our process."""
    desk.person()
    asking = desk.ask()
    code = parse_qs(urlsplit(asking.consent()).query)["code"][0]
    answer = httpx.post(
        desk.youtube.token_uri,
        data={
            "grant_type": "authorization_code",
            "code": code,
            "client_secret": f"{CANARY}-secret",
            "redirect_uri": asking.question["redirect_uri"],
            "code_verifier": "guessed",
        },
    )
    assert answer.json()["error"] == "invalid_grant"


def test_nobody_who_answers_is_waited_for_only_so_long(desk: Desk) -> None:
    code, _, err = desk.ask("--timeout", "1").end()
    assert code == 1
    assert "nobody answered within 1 s" in err


def test_fixed_port_is_taken_and_a_taken_one_told(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        desk.line.settings["YTEMPIRE_GOOGLE_CLIENT_FILE"] = str(desk.client_file())
        told = desk.line.refuse(
            "account", "authorize", "--email", "a@example.org", "--no-browser",
            "--port", str(port), code=4,
        )  # fmt: skip
    assert f"cannot listen on port {port}" in told
    asking = desk.ask("--port", str(port))
    assert asking.question["redirect_uri"] == f"http://127.0.0.1:{port}/"
    asking.consent()
    httpx.get(f"http://127.0.0.1:{port}/", params={"state": asking.question["state"]})
    assert f"ssh -L {port}:127.0.0.1:{port}" in asking.end()[2]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"auth_uri": "http://example.org/auth"}, "auth_uri of the OAuth client must begin with"),
        ({"client_id": ""}, "installed.client_id"),
    ],
)
def test_client_file_that_cannot_be_used_is_refused_without_being_told(
    desk: Desk, changed: dict[str, str], told: str
) -> None:
    file = desk.client_file(**changed)
    said = desk.line.refuse(
        "account", "authorize", "--email", "a@example.org", "--client-file", str(file), code=1
    )
    assert told in said
    assert CANARY not in said
    file.chmod(0o644)
    assert "chmod 600" in desk.line.refuse(
        "account", "authorize", "--email", "a@example.org", "--client-file", str(file), code=2
    )
