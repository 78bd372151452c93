"""What the handlers of the HTTP service work with."""

from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from db.pool import Pool
from pipeline.ports import ArtifactStore
from workers.callbacks.rules import CallbackRules
from workers.keys import HourlyLimits
from workers.runs.preview_links import PreviewLinks
from workers.secrets import SecretKeys
from workers.web.announcing import Announcer
from workers.web.body import Limits
from workers.web.memory import Memories
from workers.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Web:
    """`tasks`: the job types that workers know, and the queue each belongs to."""

    pool: Pool
    sealing: SecretKeys
    hourly: HourlyLimits
    links: PreviewLinks
    store: ArtifactStore
    tasks: dict[str, str]
    announcer: Announcer
    callback_rules: CallbackRules = field(default_factory=CallbackRules)
    memories: Memories = field(default_factory=Memories)
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)


def web_of(request: Request) -> Web:
    """The context that `make_web` was given."""
    return cast(Web, request.app.state.web)
