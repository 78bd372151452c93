"""One runner a stage: load what the stage needs, run it, say what is to be recorded."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from procrastinate import Blueprint, JobContext

from db.errors import Contended, Unavailable
from db.pool import Connection, transaction
from db.repositories.accounts import Accounts
from db.repositories.trends import Trends
from db.repositories.uploads import Uploads
from db.repositories.videos import Videos
from pipeline.domain import Artifact, Channel, Cut, StageName, Topic, Trend
from pipeline.errors import Deferred, Rejected, Waiting
from pipeline.flow import FIRST_STAGE, ROUTES
from pipeline.hosting import AccountEffect, AccountTrouble
from pipeline.ports import CallLedger
from pipeline.stages.analytics import measure
from pipeline.stages.extras import Dressed, dress
from pipeline.stages.footage import gather_footage
from pipeline.stages.metadata import clip_title, credited
from pipeline.stages.render import assemble
from pipeline.stages.script import Scripted, write_script
from pipeline.stages.trend import TrendPick, pick_topic
from pipeline.stages.upload import Uploaded, WrongChannel, publish_video
from pipeline.stages.voice import Narrated, narrate
from workers.accounts.extras import AffordedExtras
from workers.accounts.reservation import reserve_account
from workers.accounts.trouble import spend
from workers.analytics import SOURCE, schedule_pull
from workers.calls.book import Holder
from workers.execution import Claim, Performance, StageRunner, perform
from workers.extras import afflict_all, enqueue_waiting, log_bugs
from workers.journal import CommittedJournal
from workers.queue.outcomes import EndJob, Fail, Snooze
from workers.runs.control import notes_on_script
from workers.runs.starting import RunRequest, asked_of, parse_request, start_run_once
from workers.runtime import Runtime
from workers.topics import CANDIDATES, NO_REPEAT_DAYS

DATABASE_PAUSE = timedelta(seconds=1)


async def pick(runtime: Runtime, claim: Claim) -> Performance:
    """trend_pick: the topic or the trend that was asked for, or the best stored one."""
    asked = asked_of(claim.execution.trigger_data)
    named, candidates, recent = await _choices(runtime, claim, asked)
    picked = await pick_topic(
        named.topic if named else _asked_topic(claim.channel, asked),
        candidates,
        channel=claim.channel,
        recent=recent,
    )
    trend = named or picked.trend

    async def record(connection: Connection) -> None:
        taken = trend is None or await Trends(connection).use(trend_id=trend.id)
        # A trend that was asked for by its id may be made again; a picked one is for one video.
        if not taken and named is None:
            raise Deferred(
                "another run took this topic; the next one is picked", until=datetime.now(UTC)
            )
        await Videos(connection).set_topic(
            video_id=claim.video_id,
            trend_id=trend.id if trend else None,
            title=clip_title(picked.topic.topic),
            topic=picked.topic.topic,
            language=picked.topic.language,
        )

    return Performance(output=picked, record=record)


async def _choices(
    runtime: Runtime, claim: Claim, asked: RunRequest
) -> tuple[Trend | None, list[Trend], list[str]]:
    """The trend asked for by its id, or the stored topics to choose from and those made lately."""
    async with transaction(runtime.pool) as connection:
        trends = Trends(connection)
        if asked.trend_id is not None:
            row = await trends.find(trend_id=asked.trend_id)
            if row is None:
                raise Rejected(f"there is no trend {asked.trend_id} any more")
            return row.trend(), [], []
        if asked.topic is not None:
            return None, [], []
        recent = await Videos(connection).list_recent_topics(
            channel_id=claim.channel.id,
            exclude_video_id=claim.video_id,
            since_days=NO_REPEAT_DAYS,
        )
        rows = await trends.list_qualified(
            language=claim.channel.language, niche=claim.channel.niche, limit=CANDIDATES
        )
        return None, [row.trend() for row in rows], recent


def _asked_topic(channel: Channel, asked: RunRequest) -> Topic | None:
    if asked.topic is None:
        return None
    return Topic(
        topic=asked.topic, facts=asked.facts, niche=channel.niche, language=channel.language
    )


def _calls(runtime: Runtime, claim: Claim) -> CallLedger:
    return runtime.calls_for(
        Holder(
            execution_id=claim.execution.id,
            video_id=claim.video_id,
            step_id=claim.step_id,
            stage=claim.stage,
            fence=claim.fence,
            folder=claim.folder,
            scratch=claim.own_scratch,
        )
    )


async def write(runtime: Runtime, claim: Claim) -> Performance:
    """script: what is said, and the metadata around it."""
    picked = claim.output(StageName.TREND_PICK, TrendPick)
    async with transaction(runtime.pool) as connection:
        notes = await notes_on_script(connection, claim.execution.id)
    writer = runtime.writer_for(_calls(runtime, claim))
    scripted = await write_script(picked.topic, channel=claim.channel, writer=writer, notes=notes)
    script = scripted.script

    async def record(connection: Connection) -> None:
        videos = Videos(connection)
        await videos.set_script(
            video_id=claim.video_id,
            title=script.title,
            description=script.description,
            tags=script.tags,
        )
        await videos.upsert_content(
            video_id=claim.video_id,
            script="\n\n".join(section.text for section in script.sections),
            script_metadata={"headings": [section.heading for section in script.sections]},
        )

    return Performance(output=scripted, record=record, charges=scripted.charges)


async def speak(runtime: Runtime, claim: Claim) -> Performance:
    """voice: the narration, with the time of each word."""
    scripted = claim.output(StageName.SCRIPT, Scripted)
    narrated = await narrate(
        scripted.script,
        narrator=runtime.narrator_for(_calls(runtime, claim)),
        store=runtime.store,
        scratch=claim.own_scratch,
        folder=claim.folder,
    )
    narration = narrated.narration

    async def record(connection: Connection) -> None:
        await Videos(connection).set_voice(
            video_id=claim.video_id, audio_path=narration.audio.url, voice=narration.voice
        )

    return Performance(
        output=narrated, record=record, charges=narrated.charges, artifacts=(narration.audio,)
    )


async def draw(runtime: Runtime, claim: Claim) -> Performance:
    """render: the film; segments that an interrupted attempt finished are in the scratch folder."""
    script = claim.output(StageName.SCRIPT, Scripted).script
    narration = claim.output(StageName.VOICE, Narrated).narration
    async with transaction(runtime.pool) as connection:
        used = await Videos(connection).list_recent_footage(
            channel_id=claim.channel.id,
            exclude_video_id=claim.video_id,
            since_days=NO_REPEAT_DAYS,
        )
    footage = await gather_footage(
        script,
        narration,
        footage=runtime.footage,
        format=claim.channel.format,
        used=used,
    )
    cut = await assemble(
        script,
        narration,
        channel=claim.channel,
        renderer=runtime.renderer,
        store=runtime.store,
        scratch=claim.scratch,
        folder=claim.folder,
        seed=_seed(claim.video_id),
        footage=footage,
        progress=claim.report,
    )

    async def record(connection: Connection) -> None:
        await Videos(connection).set_description(
            video_id=claim.video_id,
            description=credited(script.description, cut.credits, script.language),
        )
        await Videos(connection).set_cut(
            video_id=claim.video_id,
            video_path=cut.video.url,
            thumbnail_path=cut.thumbnail.url,
            captions_path=cut.srt.url,
            duration_seconds=max(1, round(cut.duration)),
            size_bytes=cut.video.size_bytes,
        )

    artifacts: tuple[Artifact, ...] = (cut.video, cut.thumbnail, cut.srt, cut.vtt)
    return Performance(output=cut, record=record, artifacts=artifacts)


def _seed(video_id: UUID) -> int:
    """The same video always looks the same, and another one differently."""
    return int.from_bytes(hashlib.sha256(video_id.bytes).digest()[:4], "big")


async def publish(runtime: Runtime, claim: Claim) -> Performance:
    """upload: private first, then exactly that video made visible, then what goes with it.

    Review comes before anything leaves the house: a channel that does not publish by itself waits.
    """
    if not claim.channel.auto_publish and claim.execution.approved_at is None:
        raise Waiting(
            f"channel {claim.channel.name!r} publishes what a person approved: look at the video, "
            f"then ytempire run approve {claim.execution.id}"
        )
    expected = claim.channel.youtube_channel_id
    if expected is None:
        raise Rejected(f"channel {claim.channel.name!r} has no YouTube channel id to publish to")
    account = await reserve_account(
        runtime.pool,
        execution_id=claim.execution.id,
        channel_id=claim.channel.id,
        video_id=claim.video_id,
    )
    host = runtime.host_for(account, claim.channel.name)
    journal = CommittedJournal(
        runtime.pool,
        step_id=claim.step_id,
        fence=claim.fence,
        video_id=claim.video_id,
        execution_id=claim.execution.id,
        account=account,
        expected_channel_id=expected,
        keys=runtime.keys,
    )
    cut = claim.output(StageName.RENDER, Cut)
    script = claim.output(StageName.SCRIPT, Scripted).script
    try:
        uploaded = await publish_video(
            cut,
            script,
            channel=claim.channel,
            expected_channel_id=expected,
            host=host,
            journal=journal,
            store=runtime.store,
            scratch=claim.own_scratch,
            visibility=claim.channel.visibility,
            publish_at=claim.execution.publish_at,
            progress=claim.report,
        )
    except WrongChannel as error:
        # Whoever authorised it anew chose another channel: it uploads nothing until a person looks.
        error.trouble = AccountTrouble(
            account.id, AccountEffect.DISABLE, "wrongChannel", rotate=True
        )
        raise
    dressed = Dressed(uploaded.extras)
    # An attempt that ended among the extras may do so again: the next leaves them to their own job.
    if not journal.published_before:
        dressed = await dress(
            uploaded.extras,
            uploaded.publication.video_id,
            cut,
            language=script.language,
            channel=claim.channel,
            host=AffordedExtras(
                host, runtime.pool, execution_id=claim.execution.id, account_id=account.id
            ),
            store=runtime.store,
            scratch=claim.own_scratch,
            now=datetime.now(UTC),
        )
        log_bugs(dressed)

    async def record(connection: Connection) -> None:
        await spend(connection, execution_id=claim.execution.id, account_id=account.id)
        await afflict_all(connection, dressed)
        await enqueue_waiting(connection, claim.execution.id, dressed.extras)

    return Performance(output=replace(uploaded, extras=dressed.extras), record=record)


async def pull(runtime: Runtime, claim: Claim) -> Performance:
    """analytics_pull: what the host made of the video, and its first counters."""
    publication = claim.output(StageName.UPLOAD, Uploaded).publication
    async with transaction(runtime.pool) as connection:
        live = await Uploads(connection).find_live(video_id=claim.video_id)
        if live is None or live.youtube_account_id is None:
            raise Rejected("the account that uploaded this video is gone")
        account = await Accounts(connection).get(account_id=live.youtube_account_id)
    measured = await measure(
        publication,
        statistics=runtime.host_for(account, claim.channel.name),
        visibility=claim.channel.visibility,
        publish_at=claim.execution.publish_at,
        now=datetime.now(UTC),
    )

    async def record(connection: Connection) -> None:
        videos = Videos(connection)
        await videos.set_counters(video_id=claim.video_id, statistics=measured.statistics)
        on_youtube = account.provider == "youtube"
        await videos.upsert_metrics(
            video_id=claim.video_id,
            source=SOURCE if on_youtube else account.provider,
            statistics=measured.statistics,
        )
        if on_youtube:
            out_since = publication.published_at or claim.execution.publish_at
            await schedule_pull(connection, claim.video_id, out_since or measured.statistics.at)

    # Without the counters: what YouTube counts is kept where it is refreshed or deleted.
    return Performance(output=measured.hosted, record=record)


def runtime_of(context: JobContext) -> Runtime:
    """The runtime that the worker put into the context of its jobs."""
    runtime: Runtime = context.additional_context["runtime"]
    return runtime


def add_stages(app: Blueprint) -> None:
    """Register the six stages under the job types and queues of `pipeline.flow`."""
    for stage, run in RUNNERS.items():
        route = ROUTES[stage]
        app.task(name=route.job_type, queue=route.queue, pass_context=True)(_task(stage, run))


def _task(stage: StageName, run: StageRunner) -> Callable[..., Awaitable[None]]:
    async def task(context: JobContext, /, **payload: Any) -> None:
        runtime = runtime_of(context)
        try:
            execution_id = await _execution_id(runtime, context, stage, payload)
            await perform(runtime, context, stage, run, execution_id)
        except Rejected as error:
            raise EndJob(Fail(error=str(error), error_class="Rejected")) from error
        except (Unavailable, Contended) as error:
            # Nothing is wrong with the work: it goes on when the database does.
            raise EndJob(
                Snooze(until=DATABASE_PAUSE, error=str(error), error_class=type(error).__name__)
            ) from error

    return task


async def _execution_id(
    runtime: Runtime, context: JobContext, stage: StageName, payload: Mapping[str, Any]
) -> UUID:
    """The run a job is about. The first stage also takes a whole request for a run, as a plain
    INSERT sends it, and begins the run: once, however often the job is repeated."""
    if stage == FIRST_STAGE and "channel" in payload:
        job_id = UUID(str(context.job.id))
        started = await start_run_once(
            runtime.pool,
            parse_request(payload, runtime.settings.callback_rules),
            idempotency_key=f"job:{job_id}",
            job_id=job_id,
        )
        return started.execution_id
    try:
        (name,) = payload
        return UUID(str(payload[name] if name == "execution_id" else None))
    except ValueError:
        raise Rejected(
            'the payload of this job is {"execution_id": "<the id of a run>"}, '
            f"not {dict(payload)!r}"
        ) from None


RUNNERS: Mapping[StageName, StageRunner] = {
    StageName.TREND_PICK: pick,
    StageName.SCRIPT: write,
    StageName.VOICE: speak,
    StageName.RENDER: draw,
    StageName.UPLOAD: publish,
    StageName.ANALYTICS_PULL: pull,
}
