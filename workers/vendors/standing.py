"""Whether the chosen vendors would work now, asked without spending anything."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import structlog

from workers.settings import Settings, SettingsError

ASK_TIMEOUT_SECONDS = 15.0
FEW_CREDITS = 0.1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a vendor says. `key_refused` is certain; a `problem` may be of the moment.

    `notes` are facts worth telling, `warnings` what will soon be a problem. `server_time` is the
    vendor's clock as it answered.
    """

    key_refused: bool = False
    problem: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    server_time: datetime | None = None


async def openai_standing(settings: Settings) -> Standing:
    """Ask for the list of models: the key, whether the chosen model is there, when it ends."""
    import openai

    from pipeline.providers.openai_errors import translated
    from workers.vendors.openai import make_client

    async with make_client(settings) as client:
        try:
            raw = await client.models.with_raw_response.list(timeout=ASK_TIMEOUT_SECONDS)
            body: Any = raw.http_response.json()
        except openai.AuthenticationError:
            return Standing(key_refused=True, problem="OpenAI refuses the key in OPENAI_API_KEY")
        except openai.OpenAIError as error:
            problem = str(translated(error, secret=settings.openai_api_key or ""))
            return Standing(problem=problem)
        except ValueError:
            return Standing(problem="what answers at OPENAI_BASE_URL does not speak its API")
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list):
        return Standing(problem="what answers at OPENAI_BASE_URL does not speak its API")
    at = _moment(raw.http_response.headers.get("date"))
    found = [m for m in models if isinstance(m, dict) and m.get("id") == settings.openai_model]
    if not found:
        problem = f"{settings.openai_model!r} in YTEMPIRE_OPENAI_MODEL is not offered to this key"
        return Standing(problem=problem, server_time=at)
    return _model_standing(settings.openai_model, found[0].get("shutdown_date"), at)


def _model_standing(model: str, shutdown: object, at: datetime | None) -> Standing:
    try:
        ends = date.fromisoformat(shutdown[:10]) if isinstance(shutdown, str) else None
    except ValueError:
        ends = None
    if ends is None:
        return Standing(notes=(f"the key works; {model} is offered",), server_time=at)
    if ends <= datetime.now(UTC).date():
        return Standing(problem=f"{model} was shut down on {ends}", server_time=at)
    return Standing(
        warnings=(f"{model} will be shut down on {ends}: choose another model before",),
        server_time=at,
    )


async def elevenlabs_standing(settings: Settings) -> Standing:
    """Ask for the subscription: the key, and the credits left."""
    import httpx
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.core.parse_error import ParsingError

    from pipeline.providers.elevenlabs_errors import status_of, translated
    from workers.vendors.elevenlabs import make_client

    secret = settings.elevenlabs_api_key or ""
    async with httpx.AsyncClient(timeout=ASK_TIMEOUT_SECONDS) as http:
        client = make_client(settings, http)
        try:
            raw = await client.user.subscription.with_raw_response.get(
                request_options={"max_retries": 0}
            )
        except ApiError as error:
            status = status_of(error.body)
            if error.status_code == 401 and status == "missing_permissions":
                # A key for text to speech alone is good practice.
                return Standing(notes=("the key works; it may not read the credits left",))
            if error.status_code == 401 and status != "quota_exceeded":
                reason = f"ElevenLabs refuses the key in ELEVENLABS_API_KEY ({status or 401})"
                return Standing(key_refused=True, problem=reason)
            return Standing(problem=str(translated(error, secret=secret)))
        except httpx.HTTPError as error:
            return Standing(problem=str(translated(error, secret=secret)))
        except (ParsingError, TypeError, ValueError, AttributeError):
            return Standing(problem=_NOT_ELEVENLABS)
    return _credits(raw.data, _moment(raw.headers.get("date")))


_NOT_ELEVENLABS = "what answers at YTEMPIRE_ELEVENLABS_BASE_URL does not speak its API"


def _credits(subscription: Any, at: datetime | None) -> Standing:
    used = getattr(subscription, "character_count", None)
    limit = getattr(subscription, "character_limit", None)
    if not isinstance(used, int) or not isinstance(limit, int):
        return Standing(problem=_NOT_ELEVENLABS)
    left = limit - used
    told = f"{max(left, 0):,} of {limit:,} credits are left"
    if getattr(subscription, "max_credit_limit_extension", 0) not in (0, None):
        return Standing(notes=(f"the key works; {told}, and more are charged",), server_time=at)
    if left <= 0:
        return Standing(problem=f"ElevenLabs is out of credits: {told}", server_time=at)
    if left < FEW_CREDITS * limit:
        return Standing(warnings=(told,), server_time=at)
    return Standing(notes=(f"the key works; {told}",), server_time=at)


STANDINGS: Mapping[str, Callable[[Settings], Awaitable[Standing]]] = {
    "openai": openai_standing,
    "elevenlabs": elevenlabs_standing,
}
"""By the name of the provider in the settings. A vendor that is not here is not asked."""


async def refuse_bad_keys(settings: Settings) -> None:
    """Raise `SettingsError` when a chosen vendor refuses its key.

    A vendor that cannot be asked now is no reason not to start: what is wrong is logged.
    """
    for name in chosen_vendors(settings):
        standing = await STANDINGS[name](settings)
        if standing.key_refused:
            raise SettingsError(f"{standing.problem}: set a valid one, or choose another provider")
        if standing.problem is not None:
            log.warning("vendor.not_ready", vendor=name, problem=standing.problem)


def chosen_vendors(settings: Settings) -> list[str]:
    """The vendors in `STANDINGS` that the settings chose."""
    chosen = {settings.script_provider, settings.voice_provider}
    return [name for name in STANDINGS if name in chosen]


def _moment(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
