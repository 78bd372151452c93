"""Which stage follows which, as data, and where each one queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.domain import StageName


@dataclass(frozen=True, slots=True)
class StageRoute:
    """A stage's job type, its queue, and the stage after it (None: the run is complete)."""

    job_type: str
    queue: str
    next: StageName | None


ROUTES: Mapping[StageName, StageRoute] = MappingProxyType(
    {
        StageName.TREND_PICK: StageRoute("video.trend_pick", "default", StageName.SCRIPT),
        StageName.SCRIPT: StageRoute("video.script", "default", StageName.VOICE),
        StageName.VOICE: StageRoute("video.voice", "default", StageName.RENDER),
        StageName.RENDER: StageRoute("video.render", "render", StageName.UPLOAD),
        StageName.UPLOAD: StageRoute("video.upload", "upload", StageName.ANALYTICS_PULL),
        StageName.ANALYTICS_PULL: StageRoute("video.analytics_pull", "analytics", None),
    }
)
FIRST_STAGE = StageName.TREND_PICK
QUEUES = ("default", "render", "upload", "analytics", "maintenance")
