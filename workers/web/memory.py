"""What a server remembers for a moment of keys, channels and workflows, to ask once less.

Nothing is decided by what is remembered alone: the statement that accepts a request checks it again
(db/sql/accept.sql), and a refusal is looked into anew.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from db.repositories.api_keys import ApiKeyRow
from db.repositories.channels import ChannelRow
from db.repositories.workflows import WorkflowRow

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

REMEMBERED_SECONDS = 30.0
MOST_REMEMBERED = 2000


class Memory(Generic[K, V]):
    """Values by key, each for half a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > self._clock() else None

    def put(self, key: K, value: V) -> None:
        if len(self._values) >= MOST_REMEMBERED:
            self._values.clear()
        self._values[key] = self._clock() + REMEMBERED_SECONDS, value

    def forget(self, key: K) -> None:
        self._values.pop(key, None)


@dataclass(frozen=True, slots=True)
class Memories:
    """Keys by their SHA-256, channels by what callers call them, workflows by name."""

    keys: Memory[str, ApiKeyRow] = field(default_factory=Memory)
    channels: Memory[str, ChannelRow] = field(default_factory=Memory)
    workflows: Memory[str, WorkflowRow] = field(default_factory=Memory)
