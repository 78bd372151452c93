"""Runs that wait for their approval, with films in the store, made without rendering any."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from db.pool import Pool, transaction
from pipeline.domain import (
    Artifact,
    ArtifactKind,
    Cut,
    Script,
    Section,
    SectionKind,
    Sentence,
    StageName,
    Topic,
    VideoFormat,
)
from pipeline.ports import ArtifactStore
from pipeline.stages.script import Scripted
from pipeline.stages.trend import TrendPick
from workers.runs.starting import RunRequest, start_run

FILM = bytes(range(256)) * 4000
TOPIC = Topic("Ice & <b>fire</b>", facts=("Ice floats.",), source_url="https://ice.example/facts")
SCRIPT = Script(
    title="Why <i>ice</i> floats",
    description="About ice.\n<script>alert(1)</script>",
    tags=("ice", '"><img src=x>'),
    thumbnail_text="ICE",
    language="en",
    sections=(
        Section(
            SectionKind.BODY,
            "Floating",
            (Sentence("Look at this."), Sentence("Ice <u>floats</u>.", fact=0)),
        ),
    ),
)


@dataclass(frozen=True)
class Waiting:
    """A run at its review, and the film that is shown."""

    run: UUID
    cut: Cut


async def waiting_run(
    pool: Pool, store: ArtifactStore, folder: Path, channel: str, *, film: bytes = FILM
) -> Waiting:
    """A run of a review channel that has been rendered and waits before its upload."""
    async with transaction(pool) as connection:
        request = RunRequest(channel=channel, topic=TOPIC.topic, facts=TOPIC.facts)
        started = await start_run(connection, request)
    cut = await make_cut(store, folder, str(started.video_id), film)
    outputs = {
        StageName.TREND_PICK: TrendPick(TOPIC, None),
        StageName.SCRIPT: Scripted(SCRIPT, ()),
        StageName.RENDER: cut,
    }
    for stage, output in outputs.items():
        await set_output(pool, started.execution_id, stage, output)
    await pool.execute("DELETE FROM queue.job_queue WHERE id = $1", started.job_id)
    await pool.execute(
        "UPDATE workflow_executions SET status = 'waiting', current_step = 'upload',"
        " error_message = 'upload: look at the video' WHERE id = $1",
        started.execution_id,
    )
    await pool.execute("UPDATE videos SET title = $2 WHERE id = $1", started.video_id, SCRIPT.title)
    return Waiting(started.execution_id, cut)


async def set_output(pool: Pool, run: UUID, stage: StageName, output: Any) -> None:
    await pool.execute(
        "UPDATE workflow_steps SET status = 'success', output = $3"
        " WHERE execution_id = $1 AND step_name = $2",
        run,
        stage,
        TypeAdapter(type(output)).dump_python(output, mode="json"),
    )


async def make_cut(store: ArtifactStore, folder: Path, name: str, film: bytes) -> Cut:
    async def put(suffix: str, content: bytes, kind: ArtifactKind, media_type: str) -> Artifact:
        file = folder / f"{name}{suffix}"
        file.write_bytes(content)
        return await store.put(file, folder=f"videos/{name}", kind=kind, media_type=media_type)

    vtt = b"WEBVTT\n\n00:00.000 --> 00:01.000\nIce floats.\n"
    return Cut(
        video=await put(".mp4", film, ArtifactKind.VIDEO, "video/mp4"),
        thumbnail=await put(".jpg", b"\xff\xd8\xff", ArtifactKind.THUMBNAIL, "image/jpeg"),
        srt=await put(".srt", b"1\n", ArtifactKind.CAPTIONS, "application/x-subrip"),
        vtt=await put(".vtt", vtt, ArtifactKind.CAPTIONS, "text/vtt"),
        duration=46.0,
        format=VideoFormat(640, 360, 30),
    )


def damaged(cut: Cut, url: str) -> Cut:
    """The cut with its video elsewhere."""
    return replace(cut, video=replace(cut.video, url=url))
