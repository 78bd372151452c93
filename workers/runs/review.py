"""What a person sees of a run before it is published: the film, its words, what they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from db.pool import Connection
from db.repositories.channels import Channels
from db.repositories.executions import Execution, Executions
from db.repositories.steps import Steps
from db.repositories.trends import Trends
from pipeline.domain import Channel, Cut, ExecutionStatus, Script, StageName, Topic
from pipeline.stages.metadata import credited
from pipeline.stages.script import Scripted
from pipeline.stages.trend import TrendPick
from workers.channels import channel_from_row
from workers.outputs import read_output
from workers.runs.overview import Overview, load_overview

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Review:
    """A run as its reviewer needs it. What its stages have not made yet is None.

    `fact_urls` tells for a fact, by its text, where it was read.
    """

    overview: Overview
    execution: Execution
    channel: Channel
    topic: Topic | None
    fact_urls: Mapping[str, str]
    script: Script | None
    cut: Cut | None

    @property
    def awaits_decision(self) -> bool:
        """Whether a person's word is what the run waits for: there is a film, and nobody has
        approved it."""
        run = self.overview.run
        return (
            run.status == ExecutionStatus.WAITING
            and run.current_step == StageName.UPLOAD
            and self.cut is not None
            and not self.channel.auto_publish
            and self.execution.approved_at is None
        )

    @property
    def description(self) -> str:
        """The description as it will be published, short of the marker of its upload."""
        if self.script is None:
            return ""
        credits_ = self.cut.credits if self.cut else ()
        return credited(self.script.description, credits_, self.script.language)


async def load_review(connection: Connection, execution_id: UUID) -> Review:
    """Read a run for review. Raises `NotFound`."""
    overview = await load_overview(connection, execution_id)
    execution = await Executions(connection).load(execution_id=execution_id)
    row = await Channels(connection).get(channel_id=execution.channel_id)
    outputs = await Steps(connection).list_outputs(execution_id=execution_id)
    picked = _output(outputs, StageName.TREND_PICK, TrendPick)
    scripted = _output(outputs, StageName.SCRIPT, Scripted)
    return Review(
        overview=overview,
        execution=execution,
        channel=channel_from_row(row),
        topic=picked.topic if picked else None,
        fact_urls=await _fact_urls(connection, picked),
        script=scripted.script if scripted else None,
        cut=_output(outputs, StageName.RENDER, Cut),
    )


def _output(outputs: Mapping[StageName, Any], stage: StageName, kind: type[T]) -> T | None:
    return read_output(kind, outputs[stage]) if stage in outputs else None


async def _fact_urls(connection: Connection, picked: TrendPick | None) -> dict[str, str]:
    if picked is None or picked.trend is None:
        return {}
    row = await Trends(connection).find(trend_id=picked.trend.id)
    metadata = row.source_metadata if row else {}
    pairs = zip(metadata.get("facts", ()), metadata.get("fact_urls", ()), strict=False)
    return {fact: url for fact, url in pairs if url}
