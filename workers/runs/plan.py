"""What a run would be, without starting it: `run start --dry-run`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from db.pool import Connection, Pool, transaction
from db.repositories.channels import ChannelRow
from db.repositories.costs import Costs
from db.repositories.trends import Trends
from db.repositories.videos import Videos
from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.stages.trend import pick_topic
from workers.channels import channel_from_row, require_channel
from workers.runs.starting import RunRequest, start_run
from workers.settings import Settings
from workers.topics import CANDIDATES, NO_REPEAT_DAYS


class _OnlyTried(Exception):
    """Rolls back what was done to see whether it could be."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What would happen now. `known_run`: the run that the idempotency key has started already.
    `usual_cost`: what the channel's last ten finished runs cost on average, in US dollars; None
    when it has none."""

    channel: ChannelRow
    topic: Topic
    trend_id: UUID | None
    publish_at: datetime | None
    script_provider: str
    voice_provider: str
    host_provider: str
    usual_cost: float | None
    known_run: UUID | None

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": True,
            "channel": {"id": self.channel.id, "name": self.channel.name},
            "topic": self.topic.topic,
            "facts": list(self.topic.facts),
            "trend_id": self.trend_id,
            "publish_at": self.publish_at,
            "waits_for_approval": not self.channel.auto_publish,
            "script_provider": self.script_provider,
            "voice_provider": self.voice_provider,
            "host_provider": self.host_provider,
            "usual_cost": self.usual_cost,
            "execution_id": self.known_run,
        }


async def plan_run(
    pool: Pool, settings: Settings, request: RunRequest, *, idempotency_key: str | None
) -> RunPlan:
    """Check a request as `start_run` does, in a transaction that is rolled back, and tell what its
    first stage would choose now. Raises what `start_run` raises, and `Rejected` when there is
    nothing to make a video about."""
    known: UUID | None = None
    try:
        async with transaction(pool) as connection:
            started = await start_run(connection, request, idempotency_key=idempotency_key)
            known = None if started.new else started.execution_id
            raise _OnlyTried
    except _OnlyTried:
        pass
    async with transaction(pool) as connection:
        row = await require_channel(connection, request.channel)
        topic, trend_id = await _topic(connection, row, request)
        usual = await Costs(connection).usual_of_channel(channel_id=row.id)
    return RunPlan(
        channel=row,
        topic=topic,
        trend_id=trend_id,
        publish_at=request.publish_at,
        script_provider=settings.script_provider,
        voice_provider=settings.voice_provider,
        host_provider=settings.host_provider,
        usual_cost=None if usual is None else float(usual),
        known_run=known,
    )


async def _topic(
    connection: Connection, row: ChannelRow, request: RunRequest
) -> tuple[Topic, UUID | None]:
    channel = channel_from_row(row)
    if request.topic is not None:
        asked = Topic(request.topic, request.facts, niche=channel.niche, language=channel.language)
        return (await pick_topic(asked, [], channel=channel, recent=())).topic, None
    trends = Trends(connection)
    if request.trend_id is not None:
        found = await trends.find(trend_id=request.trend_id)
        if found is None:
            raise Rejected(f"there is no trend {request.trend_id}")
        return found.trend().topic, request.trend_id
    recent = await Videos(connection).list_recent_topics(
        channel_id=row.id, exclude_video_id=uuid4(), since_days=NO_REPEAT_DAYS
    )
    rows = await trends.list_qualified(
        language=channel.language, niche=channel.niche, limit=CANDIDATES
    )
    picked = await pick_topic(None, [each.trend() for each in rows], channel=channel, recent=recent)
    return picked.topic, picked.trend.id if picked.trend else None
