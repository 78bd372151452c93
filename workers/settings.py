"""Settings, read once from the environment; nothing else in the project reads it."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KNOWN_PREFIX = "YTEMPIRE_"


class SettingsError(Exception):
    """A variable that cannot be used; the message names it and says what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a process. `docs/reference/settings.md` documents each variable."""

    data_dir: Path
    database_url: str | None = None
    artifact_url: str | None = None
    script_provider: str = "local"
    voice_provider: str = "local"
    host_provider: str = "local"
    voice: str | None = None
    log_format: str = "console"
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables of `VARIABLES`; empty counts as unset.

        Raises `SettingsError` for a value that the variable does not take. A `YTEMPIRE_*` variable
        that nobody reads becomes a warning with the nearest name.
        """
        values: dict[str, Any] = {}
        for variable, (name, parse) in VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                values[name] = parse(text)
            except ValueError as error:
                raise SettingsError(f"{variable}={text!r}: {error}") from error
        values.setdefault("data_dir", _default_data_dir(environ))
        return cls(**values, warnings=tuple(_unknown(environ)))


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_DATA_HOME") or ""
    base = Path(home) if home else Path(environ.get("HOME") or "~").expanduser() / ".local/share"
    return base / "ytempire"


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _text(text: str) -> str:
    return text


class _OneOf:
    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, text: str) -> str:
        if text not in self.choices:
            raise ValueError(f"give one of {', '.join(self.choices)}")
        return text


VARIABLES: Mapping[str, tuple[str, Any]] = {
    "DATABASE_URL": ("database_url", _text),
    "YTEMPIRE_DATA_DIR": ("data_dir", _folder),
    "YTEMPIRE_ARTIFACT_URL": ("artifact_url", _text),
    "YTEMPIRE_SCRIPT_PROVIDER": ("script_provider", _OneOf("local")),
    "YTEMPIRE_VOICE_PROVIDER": ("voice_provider", _OneOf("local")),
    "YTEMPIRE_HOST_PROVIDER": ("host_provider", _OneOf("local")),
    "YTEMPIRE_VOICE": ("voice", _text),
    "YTEMPIRE_LOG_FORMAT": ("log_format", _OneOf("console", "json")),
}


def _unknown(environ: Mapping[str, str]) -> list[str]:
    found = []
    for variable in sorted(environ):
        if not variable.startswith(KNOWN_PREFIX) or variable in VARIABLES:
            continue
        near = difflib.get_close_matches(variable, VARIABLES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        found.append(f"{variable} is not a setting of ytempire and is ignored{hint}")
    return found
