"""The doctor finds what is wrong, says what helps, and never falls ill itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.services import openai_server
from tests.services.elevenlabs_server import ElevenLabsServer, refused
from tests.services.http_server import Asked, Reply
from tests.services.openai_server import OpenAIServer
from tests.services.vendors import elevenlabs_environment, openai_environment
from workers.doctor.examination import CHECKS, Check, Report, examine
from workers.doctor.finding import Examined, Finding
from workers.doctor.local import skew
from workers.settings import Settings, SettingsError
from workers.vendors.standing import refuse_bad_keys

Examine = Callable[..., Any]


@pytest.fixture
def vendors() -> Iterator[tuple[OpenAIServer, ElevenLabsServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(OpenAIServer()), stack.enter_context(ElevenLabsServer())


@pytest.fixture
def look(database_url: str, tmp_path: Path) -> Examine:
    async def examined(checks: Mapping[str, Check] = CHECKS, **environment: str) -> Report:
        given = {"DATABASE_URL": database_url, "YTEMPIRE_DATA_DIR": str(tmp_path)}
        return await examine(Settings.from_env(given | environment), checks)

    return examined


def found(report: Report, check: str, level: str | None = None) -> str:
    """The messages of a check, joined."""
    return "\n".join(
        f.message for f in report.findings if f.check == check and level in (None, f.level.value)
    )


async def test_embedded_installation_is_healthy(look: Examine) -> None:
    report = await look()
    assert report.healthy
    assert {f.check for f in report.findings} >= {"database", "schema", "clock", "queue", "disk"}
    assert report.document()["findings"][0] == {
        "check": "database",
        "level": "ok",
        "message": "the database of DATABASE_URL answers",
        "command": None,
    }


async def test_chosen_vendors_are_asked_without_spending(
    look: Examine, vendors: tuple[OpenAIServer, ElevenLabsServer]
) -> None:
    openai, elevenlabs = vendors
    report = await look(**openai_environment(openai), **elevenlabs_environment(elevenlabs))
    assert report.healthy, report.findings
    assert "gpt-6-sol is offered" in found(report, "openai", "ok")
    assert "7,500 of 10,000 credits" in found(report, "elevenlabs", "ok")
    assert {one.method for server in vendors for one in server.journal} == {"GET"}


@pytest.mark.parametrize(
    ("environment", "check", "said"),
    [
        ({"OPENAI_API_KEY": "wrong"}, "openai", "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": ""}, "openai", "OPENAI_API_KEY is not set"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "openai", "cannot be reached"),
        ({"YTEMPIRE_OPENAI_MODEL": "gpt-6-astra"}, "openai", "YTEMPIRE_OPENAI_MODEL"),
        ({"ELEVENLABS_API_KEY": "wrong"}, "elevenlabs", "ELEVENLABS_API_KEY"),
        ({"ELEVENLABS_API_KEY": ""}, "elevenlabs", "ELEVENLABS_API_KEY is not set"),
        ({"YTEMPIRE_ELEVENLABS_BASE_URL": "http://127.0.0.1:9"}, "elevenlabs", "cannot be reached"),
    ],
)
async def test_what_is_wrong_with_a_vendor_is_an_error_that_names_the_setting(
    look: Examine,
    vendors: tuple[OpenAIServer, ElevenLabsServer],
    environment: dict[str, str],
    check: str,
    said: str,
) -> None:
    openai, elevenlabs = vendors
    good = openai_environment(openai) | elevenlabs_environment(elevenlabs)
    report = await look(**good | environment)
    assert not report.healthy
    assert said in found(report, check, "error")
    other = "elevenlabs" if check == "openai" else "openai"
    assert not found(report, other, "error")


async def test_end_of_the_model_is_told_before_it_comes(
    look: Examine, vendors: tuple[OpenAIServer, ElevenLabsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = openai_environment(vendors[0])
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    monkeypatch.setitem(openai_server.MODELS, "gpt-6-sol", soon)
    report = await look(**environment)
    assert report.healthy
    assert soon in found(report, "openai", "warning")
    monkeypatch.setitem(openai_server.MODELS, "gpt-6-sol", "2026-01-01")
    assert "was shut down" in found(await look(**environment), "openai", "error")


async def test_credits_that_run_out_are_told(
    look: Examine, vendors: tuple[OpenAIServer, ElevenLabsServer]
) -> None:
    elevenlabs = vendors[1]
    environment = elevenlabs_environment(elevenlabs)
    elevenlabs.characters["character_count"] = 9_500
    assert "500 of 10,000" in found(await look(**environment), "elevenlabs", "warning")
    elevenlabs.characters["character_count"] = 10_001
    assert "out of credits" in found(await look(**environment), "elevenlabs", "error")


class OnlySpeech(ElevenLabsServer):
    """Its key may speak, but not read the user."""

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/user/subscription":
            return refused(401, "missing_permissions", "The key lacks user_read.")
        return super().answer(asked)


async def test_key_for_speech_alone_is_good(look: Examine) -> None:
    with OnlySpeech() as server:
        environment = elevenlabs_environment(server)
        report = await look(**environment)
        await refuse_bad_keys(Settings.from_env(environment))
    assert report.healthy
    assert "may not read" in found(report, "elevenlabs", "ok")


class Portal(OpenAIServer):
    def answer(self, asked: Asked) -> Reply:
        return Reply(200, b"<html>Welcome</html>", media_type="text/html")


async def test_page_instead_of_an_api_is_an_error_but_no_reason_not_to_start(
    look: Examine,
) -> None:
    with Portal() as server:
        report = await look(**openai_environment(server))
        await refuse_bad_keys(Settings.from_env(openai_environment(server)))
    assert "OPENAI_BASE_URL" in found(report, "openai", "error")


@pytest.mark.parametrize("wrong", ["OPENAI_API_KEY", "ELEVENLABS_API_KEY"])
async def test_wrong_key_stops_the_start_by_its_name(
    vendors: tuple[OpenAIServer, ElevenLabsServer], wrong: str
) -> None:
    good = openai_environment(vendors[0]) | elevenlabs_environment(vendors[1])
    await refuse_bad_keys(Settings.from_env(good))
    with pytest.raises(SettingsError, match=wrong):
        await refuse_bad_keys(Settings.from_env(good | {wrong: "wrong"}))


async def test_database_that_is_away_is_a_finding(look: Examine) -> None:
    report = await look(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert not report.healthy
    assert "DATABASE_URL" in found(report, "database", "error")
    assert found(report, "disk")


async def test_database_without_the_schema_names_the_command(
    empty_database_url: str, look: Examine
) -> None:
    report = await look(DATABASE_URL=empty_database_url)
    assert [f.command for f in report.findings if f.check == "schema"] == ["ytempire db migrate"]
    assert not report.healthy


async def test_check_that_breaks_is_a_finding_and_hides_no_other(look: Examine) -> None:
    async def broken(examined: Examined) -> list[Finding]:
        raise RuntimeError("no idea")

    report = await look({"broken": broken, **CHECKS})
    assert "RuntimeError: no idea" in found(report, "broken", "error")
    assert found(report, "clock")


async def test_paused_queue_is_told_with_the_command(look: Examine, pool: asyncpg.Pool) -> None:
    from db.repositories.queues import Queues

    async with pool.acquire() as connection:
        await Queues(connection).pause("render", by="Ann", reason="new disk")
    report = await look()
    (paused,) = [f for f in report.findings if f.check == "queue" and "paused" in f.message]
    assert paused.command == "ytempire queue resume render"
    assert report.healthy


@pytest.mark.parametrize(("seconds", "level"), [(0.5, "ok"), (-10, "warning"), (86_400, "error")])
def test_clocks_that_differ_are_told_by_how_much(seconds: float, level: str) -> None:
    assert skew("clock", "the database's", seconds).level == level
