"""ElevenLabs as the settings choose it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import httpx
from elevenlabs.client import AsyncElevenLabs

from pipeline.ports import CallLedger, Narrator
from pipeline.providers.elevenlabs_call import (
    CALL_TIMEOUT_SECONDS,
    ElevenLabsOptions,
    keep_arrival,
)
from pipeline.providers.elevenlabs_narrator import ElevenLabsNarrator
from pipeline.providers.recording import AudioFormat
from workers.settings import Settings, SettingsError
from workers.vendors.openai import price_table

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
"""A premade voice that every account may use."""


def make_client(settings: Settings, http: httpx.AsyncClient) -> AsyncElevenLabs:
    """A client over `http`. Raises `SettingsError` without a key."""
    if settings.elevenlabs_api_key is None:
        raise SettingsError(
            "ELEVENLABS_API_KEY is not set, but YTEMPIRE_VOICE_PROVIDER is elevenlabs: set the key,"
            " or choose local"
        )
    # The key is always given: the SDK's own default was read when it was imported.
    return AsyncElevenLabs(
        api_key=settings.elevenlabs_api_key,
        base_url=settings.elevenlabs_base_url,
        httpx_client=http,
    )


def make_narrator(settings: Settings, stack: AsyncExitStack) -> Callable[[CallLedger], Narrator]:
    """From a ledger to the narrator that makes its calls through it; the connections are closed by
    the stack.

    Raises `SettingsError` for a key, a format or a price that is missing.
    """
    http = httpx.AsyncClient(timeout=CALL_TIMEOUT_SECONDS, event_hooks={"response": [keep_arrival]})
    client = make_client(settings, http)
    stack.push_async_callback(http.aclose)
    table = price_table(settings)
    model = settings.elevenlabs_model
    price = table.characters(model, datetime.now(UTC).date())
    if price is None:
        raise SettingsError(
            f"YTEMPIRE_ELEVENLABS_MODEL: the price of {model!r} is not known; choose one of"
            f" {', '.join(table.elevenlabs_models)}, or state its price in YTEMPIRE_PRICES_FILE"
        )
    options = ElevenLabsOptions(
        voice_id=settings.voice or GEORGE,
        model=model,
        api_key=settings.elevenlabs_api_key or "",
        audio=settings.elevenlabs_format,
        price=price,
    )
    try:
        AudioFormat.parse(options.audio)
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_ELEVENLABS_FORMAT: {error}") from error
    return partial(ElevenLabsNarrator, client, options)
