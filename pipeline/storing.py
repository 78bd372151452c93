"""What an artifact store tells of the files it holds."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store. `temporary`: a writer's own, which nobody names."""

    url: str
    size_bytes: int
    modified: datetime
    temporary: bool
