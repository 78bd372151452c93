"""The doctor asks feeds and libraries what they would answer, and tells no key."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.services.feeds_server import FeedsServer
from tests.services.local_http import Reply, as_json
from tests.services.stock_server import PEXELS_KEY, PIXABAY_KEY, StockServer
from workers.doctor.finding import Examined, Level
from workers.doctor.sources import feeds, footage
from workers.settings import Settings


@pytest.fixture
def stock() -> Iterator[StockServer]:
    with StockServer(b"", b"") as running:
        yield running


async def told(check: str, **environment: str) -> list[tuple[Level, str]]:
    examined = Examined(Settings.from_env(environment), None, None)
    findings = await (feeds if check == "feeds" else footage)(examined)
    assert "hush" not in str(findings)
    return [(finding.level, finding.message) for finding in findings]


async def test_feeds_are_read_and_one_that_is_away_is_a_warning() -> None:
    with FeedsServer(datetime.now(UTC)) as server:
        server.faults["/v0/topstories.json"] = Reply(503)
        findings = await told(
            "feeds",
            YTEMPIRE_TREND_SOURCES="custom,google_trends,hackernews,reddit",
            YTEMPIRE_GOOGLE_TRENDS_URL=server.google_url,
            YTEMPIRE_HACKERNEWS_URL=server.hackernews_url,
        )
    assert [level for level, _ in findings] == [Level.OK, Level.WARNING, Level.ERROR]
    assert findings[0][1] == "2 topics are on offer"
    assert "503" in findings[1][1]
    assert "REDDIT_CLIENT_ID" in findings[2][1]


def chosen(stock: StockServer, name: str, **changed: str) -> dict[str, str]:
    return {
        "YTEMPIRE_FOOTAGE_PROVIDER": name,
        "PEXELS_API_KEY": PEXELS_KEY,
        "PIXABAY_API_KEY": PIXABAY_KEY,
        "YTEMPIRE_PEXELS_BASE_URL": stock.root,
        "YTEMPIRE_PIXABAY_BASE_URL": stock.root,
    } | changed


@pytest.mark.parametrize("name", ["pexels", "pixabay"])
async def test_library_is_asked_once(stock: StockServer, name: str) -> None:
    findings = await told("footage", **chosen(stock, name))
    assert findings == [(Level.OK, "the key works; 9 requests are left")]
    assert len(stock.journal) == 1


@pytest.mark.parametrize(
    ("name", "path", "variable"),
    [("pexels", "/v1/search", "PEXELS_API_KEY"), ("pixabay", "/api/", "PIXABAY_API_KEY")],
)
async def test_library_that_would_not_serve_is_told(
    stock: StockServer, name: str, path: str, variable: str
) -> None:
    wrong = chosen(stock, name) | {variable: "wrong-hush-hush"}
    assert await told("footage", **wrong) == [
        (Level.ERROR, f"{name} refuses the key in {variable}")
    ]
    ((level, message),) = await told("footage", **(wrong | {variable: ""}))
    assert (level, message.split()[0]) == (Level.ERROR, variable)
    for reply, level, said in (
        (Reply(429), Level.WARNING, "rest"),
        (Reply(500), Level.ERROR, "500"),
        (Reply(200, b"<html>", "text/html"), Level.ERROR, "instead of JSON"),
        (as_json({"a": 1}), Level.ERROR, "does not speak"),
        (Reply(200, b" " * 6_000_000), Level.ERROR, "more than"),
    ):
        stock.faults[path] = reply
        ((found, message),) = await told("footage", **chosen(stock, name))
        assert (found, said in message) == (level, True), message


async def test_folder_is_counted(tmp_path: Path) -> None:
    given = {"YTEMPIRE_FOOTAGE_PROVIDER": "folder", "YTEMPIRE_MEDIA_DIR": str(tmp_path)}
    ((empty, _),) = await told("footage", **given)
    (tmp_path / "sea.mp4").touch()
    (tmp_path / "sea.txt").touch()
    ((filled, message),) = await told("footage", **given)
    ((gone, named),) = await told("footage", YTEMPIRE_FOOTAGE_PROVIDER="folder")
    assert (empty, filled, gone) == (Level.WARNING, Level.OK, Level.ERROR)
    assert message.startswith("1 clips")
    assert "YTEMPIRE_MEDIA_DIR" in named


async def test_embedded_parts_need_no_check() -> None:
    assert await told("feeds") == await told("footage") == []


@pytest.mark.parametrize(("age", "level"), [("0", Level.ERROR), ("86400", None)])
async def test_clock_of_a_feed_is_compared_and_a_cached_answer_is_as_old_as_it_says(
    age: str, level: Level | None
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with FeedsServer(datetime.now(UTC)) as server:
        server.faults["/v0/topstories.json"] = as_json(
            [101], Date=format_datetime(yesterday, usegmt=True), Age=age
        )
        findings = await told(
            "feeds",
            YTEMPIRE_TREND_SOURCES="hackernews",
            YTEMPIRE_HACKERNEWS_URL=server.hackernews_url,
        )
    assert [each for each, message in findings if "clock" in message] == ([level] if level else [])
