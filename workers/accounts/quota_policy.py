"""What Google grants and charges, as the operator's data say: `youtube.quota` in `system_config`.

Google changes both, and grants a project more on request; so they are no code.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import Waiting

KEY = "youtube.quota"
DEFAULT_BUCKET = "default"
INSERT = "videos.insert"
# What an upload needs to be published: its insert, one update, and the looks around them.
CORE: Mapping[str, int] = {INSERT: 1, "videos.update": 1, "channels.list": 2, "videos.list": 3}
# What makes it better, and may wait for the next day's units.
THUMBNAIL, CAPTIONS, PLAYLIST = "thumbnails.set", "captions.insert", "playlistItems.insert"
EXTRAS = (THUMBNAIL, PLAYLIST, CAPTIONS)  # in the order in which scarce units go to them

Units = Mapping[str, int]  # bucket -> units


class MethodCost(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=1, max_length=50)
    units: int = Field(ge=0)


class QuotaPolicy(BaseModel):
    """`limits` are per project, bucket and Pacific day; `projects` has those of single projects.
    A method without a cost of its own counts as a read (`*.list`) or a write, in `default`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    source: str = ""
    limits: Mapping[str, int]
    projects: Mapping[str, Mapping[str, int]] = {}
    costs: Mapping[str, MethodCost]
    other_reads: int = Field(default=1, ge=0)
    other_writes: int = Field(default=50, ge=0)

    def cost(self, method: str) -> MethodCost:
        """What one request of a method (`captions.insert`) costs."""
        known = self.costs.get(method)
        if known is not None:
            return known
        reads = method.endswith((".list", ".query"))
        return MethodCost(
            bucket=DEFAULT_BUCKET, units=self.other_reads if reads else self.other_writes
        )

    def units(self, methods: Mapping[str, int] | Iterable[str]) -> dict[str, int]:
        """The units of so many requests of each method, by bucket."""
        counted = methods if isinstance(methods, Mapping) else dict.fromkeys(methods, 1)
        total: dict[str, int] = {}
        for method, times in counted.items():
            cost = self.cost(method)
            total[cost.bucket] = total.get(cost.bucket, 0) + cost.units * times
        return total

    def limit(self, project: str, bucket: str) -> int:
        """The daily limit of a project's bucket; one that is not listed grants nothing."""
        return self.projects.get(project, {}).get(bucket, self.limits.get(bucket, 0))


def parse_policy(value: Any) -> QuotaPolicy:
    """The policy of a `system_config` value. Raises `Waiting` that says what is wrong with it."""
    try:
        return QuotaPolicy.model_validate(value)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise Waiting(f"{KEY} in system_config is not usable ({wrong}): mend the row") from error


@dataclass(frozen=True, slots=True)
class Need:
    """What a reservation is to cover: uploads of the account (0 or 1) and units by bucket."""

    uploads: int
    units: Units

    @property
    def default_units(self) -> int:
        return self.units.get(DEFAULT_BUCKET, 0)
