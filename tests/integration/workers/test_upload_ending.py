"""What becomes of the upload of a run that was ended, on the local host."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from pipeline.domain import StageName, Visibility
from pipeline.errors import Deferred, Rejected
from pipeline.hosting import UploadDraft
from pipeline.providers.host_local import LocalHost
from tests.integration.workers.runs import add_channel, begin, bring, give_upload, take_job, value
from workers.runs.control import cancel_run
from workers.runs.retry import retry_run
from workers.runs.upload_ending import settle_upload
from workers.runtime import Runtime, open_runtime
from workers.settings import Settings

CONTENT = b"film" * 3_000_000
STATUS = "SELECT status FROM video_uploads"


class Desk:
    """A run that was cancelled in the middle of its upload, and the host it uploaded to."""

    def __init__(self, runtime: Runtime, host: LocalHost, run: UUID, upload: UUID) -> None:
        self.runtime, self.host, self.run, self.upload = runtime, host, run, upload
        self.film = runtime.settings.data_dir / "film.mp4"
        self.session = ""

    async def open(self, marker: str) -> None:
        self.film.write_bytes(CONTENT)
        self.session = await self.host.open_upload(
            UploadDraft(
                "Ice", "About it", (marker,), "en", "27", False, True, marker, len(CONTENT),
                hashlib.sha256(CONTENT).hexdigest(),
            )
        )  # fmt: skip
        sealed = self.runtime.keys.seal(
            self.session, table="video_uploads", row=self.upload, column="session_uri"
        )
        await self.runtime.pool.execute("UPDATE video_uploads SET session_uri = $1", sealed)

    async def send(self, *, whole: bool = True) -> str | None:
        def progress(part: float) -> None:
            if not whole:
                raise ConnectionAbortedError

        try:
            return await self.host.send(self.session, self.film, progress=progress)
        except ConnectionAbortedError:
            return None

    async def settle(self) -> str | None:
        return await settle_upload(self.runtime, self.upload)


@pytest.fixture
async def desk(
    pool: Pool, database_url: str, make_data_dir: Callable[[], Path]
) -> AsyncIterator[Desk]:
    settings = Settings.from_env({"YTEMPIRE_DATA_DIR": str(make_data_dir())})
    async with open_runtime(settings, database_url) as runtime:
        channel = await add_channel(pool)
        run = (await begin(pool)).execution_id
        await bring(pool, run, StageName.UPLOAD, status="running", step="running")
        upload = await give_upload(pool, run, "uploading")
        host_id = await value(pool, "SELECT channel_id FROM youtube_accounts")
        host = LocalHost(settings.published_folder, str(host_id), channel.name)
        await host.owner()
        opened = Desk(runtime, host, run, upload)
        await opened.open(str(await value(pool, "SELECT marker FROM video_uploads")))
        async with transaction(pool) as connection:
            await cancel_run(connection, run, by="ada")
        yield opened


async def test_half_sent_upload_is_abandoned_and_its_session_ended(desk: Desk, pool: Pool) -> None:
    await desk.send(whole=False)
    assert await desk.settle() == "abandoned"
    assert await value(pool, STATUS) == "abandoned"
    assert await value(pool, "SELECT session_uri FROM video_uploads") is None
    assert await desk.send() is None
    assert await desk.settle() is None


async def test_upload_that_arrived_after_all_is_kept_private(desk: Desk, pool: Pool) -> None:
    video = await desk.send()
    assert await desk.settle() == "uploaded"
    row = await pool.fetchrow("SELECT status, youtube_video_id, error_message FROM video_uploads")
    assert (row["status"], row["youtube_video_id"]) == ("uploaded", video)
    assert "private" in row["error_message"]
    assert await desk.settle() == "uploaded"


async def test_video_that_was_made_visible_just_then_is_hidden_again(
    desk: Desk, pool: Pool
) -> None:
    video = await desk.send()
    assert video is not None
    await pool.execute("UPDATE video_uploads SET status = 'uploaded', youtube_video_id = $1", video)
    await desk.host.publish(video, Visibility.PUBLIC, None)
    assert await desk.settle() == "uploaded"
    assert (await desk.host.inspect(video)).visibility is Visibility.PRIVATE


async def test_video_whose_answer_was_lost_is_found_by_its_marker(desk: Desk, pool: Pool) -> None:
    video = await desk.send()
    await pool.execute("UPDATE video_uploads SET session_uri = NULL")
    assert await desk.settle() == "uploaded"
    assert await value(pool, "SELECT youtube_video_id FROM video_uploads") == video


async def test_nothing_is_settled_while_the_sender_is_at_it(desk: Desk, pool: Pool) -> None:
    await pool.execute(
        "UPDATE queue.job_queue SET status = 'pending', completed_at = NULL"
        " WHERE job_type = 'video.upload'"
    )
    await take_job(pool, "video.upload")
    with pytest.raises(Deferred, match="has not stopped"):
        await desk.settle()
    assert await value(pool, STATUS) == "uploading"


async def test_upload_of_a_run_that_goes_on_is_left_alone(desk: Desk, pool: Pool) -> None:
    async with transaction(pool) as connection:
        await retry_run(connection, desk.run)
    assert await desk.settle() is None
    assert await value(pool, STATUS) == "uploading"
    assert await desk.send() is not None


async def test_upload_without_its_account_says_what_to_do(desk: Desk, pool: Pool) -> None:
    await pool.execute("UPDATE video_uploads SET youtube_account_id = NULL")
    with pytest.raises(Rejected, match="by hand"):
        await desk.settle()
