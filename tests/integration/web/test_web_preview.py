"""The review page over real HTTP: who may look, what it shows, and that only a POST decides."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from db.pool import Pool
from pipeline.domain import StageName
from pipeline.providers.store import ObjectStore
from tests.integration.web.conftest import Service
from tests.integration.web.reviews import FILM, Waiting, damaged, make_cut, set_output, waiting_run
from tests.services.web import problem
from workers.runs.preview_links import PreviewLinks
from workers.secrets import SecretKeys

CHANNEL = "reviewed"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def anybody(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without any key."""
    async with httpx.AsyncClient(
        base_url=service.address, trust_env=False, headers=BROWSER, timeout=30
    ) as opened:
        yield opened


@pytest.fixture
def store(service: Service) -> ObjectStore:
    return ObjectStore((service.data_dir / "artifacts").as_uri())


@pytest.fixture
async def waiting(stored: Pool, store: ObjectStore, tmp_path: Path) -> Waiting:
    await stored.execute(
        "INSERT INTO channels (user_id, name, auto_publish, timezone)"
        " SELECT id, $1, false, 'Europe/Berlin' FROM users ON CONFLICT DO NOTHING",
        CHANNEL,
    )
    return await waiting_run(stored, store, tmp_path, CHANNEL)


def link(service: Service, run: UUID, *, age: timedelta = timedelta()) -> str:
    keys = SecretKeys.parse((service.data_dir / "secret.keys").read_text(), source="the key file")
    return f"/preview/{PreviewLinks(keys).token(run, now=datetime.now(UTC) - age)}"


async def status(pool: Pool, run: UUID) -> object:
    return await pool.fetchval("SELECT status FROM workflow_executions WHERE id = $1", run)


async def test_page_shows_the_run_escaped_and_runs_nothing(
    service: Service, anybody: httpx.AsyncClient, waiting: Waiting
) -> None:
    answer = await anybody.get(link(service, waiting.run))
    assert answer.status_code == 200
    for shown in (
        CHANNEL, "Why &lt;i&gt;ice&lt;/i&gt; floats", "&lt;script&gt;alert(1)&lt;/script&gt;",
        "Ice &lt;u&gt;floats&lt;/u&gt;.", "Ice floats.", "https://ice.example/facts", "0:46",
        "$0.0000", "Approve and publish", waiting.cut.video.sha256,
    ):  # fmt: skip
        assert shown in answer.text
    for raw in ("<script", "<i>", "<u>", "<img src=x"):
        assert raw not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy


async def test_looking_changes_nothing_however_often(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    address = link(service, waiting.run)
    for _ in range(2):
        for path in ("", "/video", "/thumbnail", "/captions"):
            assert (await anybody.get(address + path)).status_code == 200
            assert (await anybody.head(address + path)).status_code == 200
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        for path in ("/approve", "/reject"):
            assert (await anybody.request(method, address + path)).status_code == 405
    assert await status(stored, waiting.run) == "waiting"
    assert (
        await stored.fetchval(
            "SELECT count(*) FROM queue.job_queue WHERE payload->>'execution_id' = $1",
            str(waiting.run),
        )
        == 0
    )


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, len(FILM)),
        ("bytes=-7", len(FILM) - 7, len(FILM)),
        ("bytes=0-99999999999", 0, len(FILM)),
        ("bytes=262143-524288", 262143, 524289),
    ],
)
async def test_player_gets_the_range_it_asks_for(
    service: Service, anybody: httpx.AsyncClient, waiting: Waiting, asked: str, start: int, end: int
) -> None:
    video = f"{link(service, waiting.run)}/video"
    answer = await anybody.get(video, headers={"range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (
        206, f"bytes {start}-{end - 1}/{len(FILM)}",
    )  # fmt: skip
    assert answer.content == FILM[start:end]
    head = await anybody.head(video, headers={"range": asked})
    assert (head.status_code, head.headers["content-length"]) == (206, str(end - start))


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "x"])
async def test_range_that_is_not_understood_gives_the_whole(
    service: Service, anybody: httpx.AsyncClient, waiting: Waiting, asked: str
) -> None:
    answer = await anybody.get(f"{link(service, waiting.run)}/video", headers={"range": asked})
    assert (answer.status_code, answer.content == FILM) == (200, True)
    assert answer.headers["content-type"] == "video/mp4"


async def test_range_outside_is_416_and_one_of_another_film_gives_the_whole(
    service: Service, anybody: httpx.AsyncClient, waiting: Waiting
) -> None:
    video = f"{link(service, waiting.run)}/video"
    outside = await anybody.get(video, headers={"range": f"bytes={len(FILM)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(FILM)}")
    other = {"range": "bytes=0-1", "if-range": '"another"'}
    assert (await anybody.get(video, headers=other)).status_code == 200
    etag = (await anybody.head(video)).headers["etag"]
    same = {"range": "bytes=0-1", "if-range": etag}
    assert (await anybody.get(video, headers=same)).status_code == 206


async def test_approval_by_the_form_lets_the_run_go_on_once(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    address = link(service, waiting.run)
    form = {"cut": waiting.cut.video.sha256}
    answer = await anybody.post(f"{address}/approve", data=form)
    assert answer.status_code == 303
    page = await anybody.get(str(answer.url.join(answer.headers["location"])))
    assert page.status_code == 200
    assert "Approved on" in page.text
    assert "<form" not in page.text
    again = await anybody.post(f"{address}/approve", data=form)
    assert again.status_code == 409
    assert "nothing to decide any more" in again.text
    row = await stored.fetchrow(
        "SELECT e.status, e.approved_by, (SELECT count(*) FROM queue.job_queue j WHERE"
        " j.job_type = 'video.upload' AND j.payload->>'execution_id' = e.id::text) AS jobs"
        " FROM workflow_executions e WHERE e.id = $1",
        waiting.run,
    )
    assert dict(row) == {"status": "queued", "approved_by": "preview link", "jobs": 1}


async def test_rejection_needs_a_reason_and_ends_the_run_with_it(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    address = f"{link(service, waiting.run)}/reject"
    form = {"cut": waiting.cut.video.sha256, "to_step": ""}
    for wrong in ({}, {"reason": " "}, {"reason": "x" * 2001}, {"reason": "x", "to_step": "tea"}):
        assert (await anybody.post(address, data=form | wrong)).status_code == 422
    late = await anybody.post(address, data=form | {"reason": "x", "to_step": "analytics_pull"})
    assert late.status_code == 409
    assert await status(stored, waiting.run) == "waiting"
    done = await anybody.post(address, data=form | {"reason": "The <b>fact</b> is wrong"})
    assert done.status_code == 303
    assert await status(stored, waiting.run) == "failed"
    page = (await anybody.get(link(service, waiting.run))).text
    assert "The &lt;b&gt;fact&lt;/b&gt; is wrong" in page
    assert "<form" not in page


async def test_rejection_sends_the_run_back_to_a_step(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    form = {"cut": waiting.cut.video.sha256, "reason": "Too dry", "to_step": "script"}
    address = link(service, waiting.run)
    assert (await anybody.post(f"{address}/reject", data=form)).status_code == 303
    row = await stored.fetchrow(
        "SELECT e.status, e.current_step, s.input->'rejections'->0->>'reason' AS reason"
        " FROM workflow_executions e JOIN workflow_steps s ON s.execution_id = e.id"
        " WHERE e.id = $1 AND s.step_name = 'script'",
        waiting.run,
    )
    assert dict(row) == {"status": "queued", "current_step": "script", "reason": "Too dry"}
    assert (await anybody.get(f"{address}/video")).status_code == 404


async def test_token_of_one_run_decides_no_other(
    service: Service,
    anybody: httpx.AsyncClient,
    stored: Pool,
    store: ObjectStore,
    waiting: Waiting,
    tmp_path: Path,
) -> None:
    other = await waiting_run(stored, store, tmp_path, CHANNEL, film=b"other film")
    answer = await anybody.post(
        f"{link(service, waiting.run)}/approve", data={"cut": other.cut.video.sha256}
    )
    assert answer.status_code == 409
    assert {await status(stored, run) for run in (waiting.run, other.run)} == {"waiting"}
    assert (await anybody.get(f"{link(service, other.run)}/video")).content == b"other film"


async def test_film_made_anew_since_the_page_was_opened_is_not_approved(
    service: Service,
    anybody: httpx.AsyncClient,
    stored: Pool,
    store: ObjectStore,
    waiting: Waiting,
    tmp_path: Path,
) -> None:
    anew = await make_cut(store, tmp_path, "anew", b"another cut")
    await set_output(stored, waiting.run, StageName.RENDER, anew)
    address = f"{link(service, waiting.run)}/approve"
    stale = await anybody.post(address, data={"cut": waiting.cut.video.sha256})
    assert stale.status_code == 409
    assert "made anew" in stale.text
    assert await status(stored, waiting.run) == "waiting"
    assert (await anybody.post(address, data={"cut": anew.video.sha256})).status_code == 303


async def test_expired_link_is_a_page_that_says_what_to_do(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    address = link(service, waiting.run, age=timedelta(days=7, seconds=1))
    page = await anybody.get(address)
    assert page.status_code == 403
    assert page.headers["content-type"].startswith("text/html")
    assert f"ytempire run show {str(waiting.run)[:8]}" in page.text
    assert waiting.cut.video.sha256 not in page.text
    refused = await anybody.post(f"{address}/approve", data={"cut": waiting.cut.video.sha256})
    assert refused.status_code == 403
    assert (await anybody.get(f"{address}/video", headers={"accept": "video/*"})).status_code == 403
    assert await status(stored, waiting.run) == "waiting"


@pytest.mark.parametrize("token", ["x", "A" * 75, "%00", "..%2f..%2fetc%2fpasswd", "é", "A" * 200])
async def test_strangers_token_opens_nothing(anybody: httpx.AsyncClient, token: str) -> None:
    for path in ("", "/video", "/thumbnail", "/captions"):
        answer = await anybody.get(f"/preview/{token}{path}")
        assert answer.status_code in (403, 404)
        assert answer.headers["cache-control"] == "no-store"
    answer = await anybody.get(f"/preview/{'A' * 75}", headers={"accept": "application/json"})
    problem(answer, 403)


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"", "application/x-www-form-urlencoded", 409),
        (b"cut=a&cut=b", "application/x-www-form-urlencoded", 400),
        (b"cut=%00", "application/x-www-form-urlencoded", 400),
        (b"cut=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"a&b", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a%d=1" % n for n in range(11)]), "application/x-www-form-urlencoded", 400),
        (b"cut=" + b"a" * 17_000, "application/x-www-form-urlencoded", 413),
        (json.dumps({"cut": "x"}).encode(), "application/json", 415),
        (b"cut=a", "text/plain", 415),
    ],
)
async def test_malformed_form_is_refused(
    service: Service,
    anybody: httpx.AsyncClient,
    stored: Pool,
    waiting: Waiting,
    content: bytes,
    kind: str,
    expected: int,
) -> None:
    answer = await anybody.post(
        f"{link(service, waiting.run)}/approve", content=content, headers={"content-type": kind}
    )
    assert answer.status_code == expected
    assert await status(stored, waiting.run) == "waiting"


async def test_file_outside_the_store_or_gone_is_not_served(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    for url in ("file:///etc/passwd", waiting.cut.video.url.replace("video-", "../../video-")):
        await set_output(stored, waiting.run, StageName.RENDER, damaged(waiting.cut, url))
        answer = await anybody.get(f"{link(service, waiting.run)}/video")
        assert answer.status_code == 503
        assert b"root:" not in answer.content


async def test_run_that_waits_for_something_else_shows_no_form(
    service: Service, anybody: httpx.AsyncClient, stored: Pool, waiting: Waiting
) -> None:
    await stored.execute(
        "UPDATE workflow_executions SET approved_at = now(), error_message = 'upload: no account'"
        " WHERE id = $1",
        waiting.run,
    )
    page = (await anybody.get(link(service, waiting.run))).text
    assert "<form" not in page
    assert "no account" in page


async def test_nothing_of_a_link_is_logged(
    service: Service, anybody: httpx.AsyncClient, waiting: Waiting
) -> None:
    address = link(service, waiting.run)
    await anybody.get(address)
    await anybody.get(f"{address}/video", headers={"range": "bytes=99999999-"})
    await anybody.post(f"{address}/approve", data={"cut": waiting.cut.video.sha256})
    log = (service.data_dir / "serve.log").read_text()
    assert "run.approved" in log
    assert address.rpartition("/")[2] not in log
