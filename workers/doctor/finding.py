"""What a check of the doctor is given, and what it answers."""

from dataclasses import dataclass
from enum import StrEnum

from db.pool import Pool
from workers.settings import Settings


class Level(StrEnum):
    """How bad it is: only an error makes the installation unhealthy."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: the check, how bad, what is so, and the command that helps, if there is one."""

    check: str
    level: Level
    message: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What is looked at. `url` and `pool` are None when the database cannot be reached."""

    settings: Settings
    url: str | None
    pool: Pool | None


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, command: str | None = None) -> Finding:
    return Finding(check, Level.WARNING, message, command)


def error(check: str, message: str, command: str | None = None) -> Finding:
    return Finding(check, Level.ERROR, message, command)
