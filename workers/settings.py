"""Settings, read once from the environment; nothing else in the project reads it."""

import difflib
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from workers.callbacks.rules import CallbackRules, RefusedAddress, read_place
from workers.signatures import check_secret

PREFIX = "YTEMPIRE_"
OPENAI_BASE_URL = "https://api.openai.com/v1"

TAKEN_HEADERS = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent")
)

TrendSourceName = Literal["google_trends", "youtube", "hackernews", "wikimedia", "reddit", "custom"]


class SettingsError(Exception):
    """A variable that cannot be used; the message names it and says what it takes."""


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _list(text: Any) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()] if text else ()


def _web_url(text: str | None) -> str | None:
    if text is not None and not text.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return text


WebUrl = Annotated[str | None, AfterValidator(_web_url)]


def _words(text: Any) -> Any:
    return re.split(r"[\s,]+", text) if isinstance(text, str) else text


def _variable(name: str, default: Any = None) -> Any:
    return Field(default, validation_alias=name)


def _secret(name: str) -> Any:
    return Field(None, validation_alias=name, repr=False)


def _root(address: str) -> str:
    """The address without a slash at its end; `ValueError` for what no HTTP client takes."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be the http:// or https:// address of a server")
    return address.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_root)]
Concurrency = Annotated[int, Field(ge=1, le=1000)]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


def _places(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(read_place(text) for text in texts)


def _header(text: str) -> str:
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not value or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("must be 'Name: value'")
    if not value.isascii() or not value.isprintable():
        raise ValueError("its value has characters that no header takes")
    if name.lower() in TAKEN_HEADERS or name.lower().startswith("webhook-"):
        raise ValueError(f"the header {name} is ours to send")
    return f"{name}: {value}"


def _secrets(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_secret(text) for text in texts)


class Settings(BaseModel):
    """Every setting of a process; `docs/reference/settings.md` documents each variable."""

    model_config = ConfigDict(frozen=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = _variable("YTEMPIRE_DATA_DIR")
    database_url: str | None = _variable("DATABASE_URL")
    artifact_url: str | None = _variable("YTEMPIRE_ARTIFACT_URL")
    script_provider: Literal["local", "openai"] = _variable("YTEMPIRE_SCRIPT_PROVIDER", "local")
    voice_provider: Literal["local", "elevenlabs"] = _variable("YTEMPIRE_VOICE_PROVIDER", "local")
    voice: str | None = _variable("YTEMPIRE_VOICE")
    host_provider: Literal["local", "youtube"] = _variable("YTEMPIRE_HOST_PROVIDER", "local")
    google_api_root: str | None = _variable("YTEMPIRE_GOOGLE_API_ROOT")
    google_token_uri: str | None = _variable("YTEMPIRE_GOOGLE_TOKEN_URI")
    google_client_file: Annotated[Path, AfterValidator(_absolute)] | None = _variable(
        "YTEMPIRE_GOOGLE_CLIENT_FILE"
    )
    secret_keys: str | None = Field(None, validation_alias="YTEMPIRE_SECRET_KEYS", repr=False)
    footage_provider: Literal["local", "folder", "pexels", "pixabay"] = _variable(
        "YTEMPIRE_FOOTAGE_PROVIDER", "local"
    )
    media_dir: Annotated[Path, AfterValidator(_absolute)] | None = _variable("YTEMPIRE_MEDIA_DIR")
    pexels_api_key: str | None = Field(None, validation_alias="PEXELS_API_KEY", repr=False)
    pexels_base_url: WebUrl = _variable("YTEMPIRE_PEXELS_BASE_URL")
    pixabay_api_key: str | None = Field(None, validation_alias="PIXABAY_API_KEY", repr=False)
    pixabay_base_url: WebUrl = _variable("YTEMPIRE_PIXABAY_BASE_URL")
    trend_sources: Annotated[tuple[TrendSourceName, ...], BeforeValidator(_list)] = _variable(
        "YTEMPIRE_TREND_SOURCES", ("custom",)
    )
    google_trends_url: WebUrl = _variable("YTEMPIRE_GOOGLE_TRENDS_URL")
    hackernews_url: WebUrl = _variable("YTEMPIRE_HACKERNEWS_URL")
    wikimedia_url: WebUrl = _variable("YTEMPIRE_WIKIMEDIA_URL")
    reddit_client_id: str | None = _variable("REDDIT_CLIENT_ID")
    reddit_client_secret: str | None = Field(
        None, validation_alias="REDDIT_CLIENT_SECRET", repr=False
    )
    public_url: HttpUrl | None = _variable("YTEMPIRE_PUBLIC_URL")
    callback_allow: Annotated[tuple[str, ...], BeforeValidator(_list), AfterValidator(_places)] = (
        _variable("YTEMPIRE_CALLBACK_ALLOW", ())
    )
    callback_header: Annotated[str, AfterValidator(_header)] | None = _secret(
        "YTEMPIRE_CALLBACK_HEADER"
    )
    callback_secrets: Annotated[
        tuple[str, ...], BeforeValidator(_words), AfterValidator(_secrets)
    ] = Field((), validation_alias="YTEMPIRE_CALLBACK_SECRET", repr=False)
    alert_callback_url: str | None = _secret("YTEMPIRE_ALERT_CALLBACK_URL")
    log_format: Literal["console", "json"] = _variable("YTEMPIRE_LOG_FORMAT", "console")
    openai_api_key: str | None = _secret("OPENAI_API_KEY")
    openai_base_url: HttpUrl = _variable("OPENAI_BASE_URL", OPENAI_BASE_URL)
    openai_organization: str | None = _variable("OPENAI_ORG_ID")
    openai_project: str | None = _variable("OPENAI_PROJECT_ID")
    openai_model: str = _variable("YTEMPIRE_OPENAI_MODEL", "gpt-6-sol")
    openai_background: Literal["auto", "on", "off"] = _variable(
        "YTEMPIRE_OPENAI_BACKGROUND", "auto"
    )
    openai_concurrency: Concurrency = _variable("YTEMPIRE_OPENAI_CONCURRENCY", 8)
    elevenlabs_api_key: str | None = _secret("ELEVENLABS_API_KEY")
    elevenlabs_base_url: HttpUrl = _variable(
        "YTEMPIRE_ELEVENLABS_BASE_URL", "https://api.elevenlabs.io"
    )
    elevenlabs_model: str = _variable("YTEMPIRE_ELEVENLABS_MODEL", "eleven_multilingual_v2")
    elevenlabs_format: str = _variable("YTEMPIRE_ELEVENLABS_FORMAT", "mp3_44100_128")
    elevenlabs_concurrency: Concurrency = _variable("YTEMPIRE_ELEVENLABS_CONCURRENCY", 2)
    max_cost_per_video: Dollars | None = _variable("YTEMPIRE_MAX_COST_PER_VIDEO")
    max_cost_per_day: Dollars | None = _variable("YTEMPIRE_MAX_COST_PER_DAY")
    prices_file: Path | None = _variable("YTEMPIRE_PRICES_FILE")
    # The usual variables of the S3 client; read only when the artifact store is a bucket.
    aws_access_key_id: str | None = _variable("AWS_ACCESS_KEY_ID")
    aws_secret_access_key: str | None = _secret("AWS_SECRET_ACCESS_KEY")
    aws_session_token: str | None = _secret("AWS_SESSION_TOKEN")
    aws_region: str | None = _variable("AWS_REGION")
    aws_endpoint_url: str | None = _variable("AWS_ENDPOINT_URL")
    unknown: tuple[str, ...] = Field((), exclude=True)

    @model_validator(mode="after")
    def _alert_address_is_allowed(self) -> Self:
        if self.alert_callback_url is not None:
            try:
                self.callback_rules.check(self.alert_callback_url)
            except RefusedAddress as error:
                raise ValueError(f"YTEMPIRE_ALERT_CALLBACK_URL: {error}") from None
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment; an empty variable counts as unset.

        Raises `SettingsError` that names each variable with a value it does not take. A
        `YTEMPIRE_*` variable that nobody reads is kept in `unknown`, with the nearest name.
        """
        given = {name: text.strip() for name, text in environ.items() if text.strip()}
        given.setdefault("YTEMPIRE_DATA_DIR", str(_default_data_dir(given)))
        known = cls.variables()
        values: dict[str, Any] = {name: text for name, text in given.items() if name in known}
        values["unknown"] = tuple(
            _unknown(name, known)
            for name in sorted(given)
            if name.startswith(PREFIX) and name not in known
        )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = [
                ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"])))
                for e in error.errors()
            ]
            raise SettingsError("; ".join(problems)) from None

    @classmethod
    def from_process(cls) -> Self:
        """The settings of this process; see `from_env`."""
        return cls.from_env(os.environ)

    @property
    def callback_rules(self) -> CallbackRules:
        """Where callbacks may go."""
        return CallbackRules(self.callback_allow)

    @property
    def published_folder(self) -> Path:
        """Where the embedded host publishes."""
        return self.data_dir / "published"

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """The names of all variables that are read."""
        return tuple(
            str(field.validation_alias)
            for field in cls.model_fields.values()
            if field.validation_alias is not None
        )


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/ytempire`, by default `~/.local/share/ytempire`."""
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path("~/.local/share")) / "ytempire"


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name} is not a setting of ytempire and is ignored{hint}"
