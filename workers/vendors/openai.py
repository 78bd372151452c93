"""OpenAI as the settings choose it: a client with its own retries off, priced."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import structlog
from openai import AsyncOpenAI

from pipeline.ports import CallLedger, ScriptWriter
from pipeline.providers.openai_answer import Pricing
from pipeline.providers.openai_call import OpenAIOptions
from pipeline.providers.openai_writer import OpenAIWriter
from pipeline.providers.prices import PriceTable
from workers.settings import OPENAI_BASE_URL, Settings, SettingsError

log = structlog.get_logger()


def make_client(settings: Settings) -> AsyncOpenAI:
    """A client whose every request is one request. Raises `SettingsError` without a key."""
    if settings.openai_api_key is None:
        raise SettingsError(
            "OPENAI_API_KEY is not set, but YTEMPIRE_SCRIPT_PROVIDER is openai: set the key"
            " (any text for a server of your own that wants none), or choose local"
        )
    return AsyncOpenAI(
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        organization=settings.openai_organization,
        project=settings.openai_project,
        max_retries=0,
    )


def make_pricing(settings: Settings) -> Pricing:
    """The prices for the chosen model.

    OpenAI's own service must not be used at an unknown price (`SettingsError`); a server of one's
    own may be free, and the log says so.
    """
    table = price_table(settings)
    model = settings.openai_model
    if table.tokens(model, datetime.now(UTC).date()) is None:
        if settings.openai_base_url == OPENAI_BASE_URL:
            raise SettingsError(
                f"YTEMPIRE_OPENAI_MODEL: the price of {model!r} is not known; choose one of"
                f" {', '.join(table.openai_models)}, or state its price in YTEMPIRE_PRICES_FILE"
            )
        log.warning("openai.price_unknown", model=model, booked="0 dollars a call")
    return Pricing(table, model)


def price_table(settings: Settings) -> PriceTable:
    """The shipped prices and those of `YTEMPIRE_PRICES_FILE`; `SettingsError` names the file."""
    try:
        return PriceTable.load(settings.prices_file)
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_PRICES_FILE: {error}") from error


def make_writer(settings: Settings, stack: AsyncExitStack) -> Callable[[CallLedger], ScriptWriter]:
    """From a ledger to the writer that makes its calls through it; the client is closed by the
    stack."""
    client = make_client(settings)
    stack.push_async_callback(client.close)
    options = OpenAIOptions(
        model=settings.openai_model,
        api_key=settings.openai_api_key or "",
        pricing=make_pricing(settings),
        background=_in_background(settings),
    )
    return partial(OpenAIWriter, client, options)


def _in_background(settings: Settings) -> bool:
    """Other servers that speak the API may not have responses in the background."""
    if settings.openai_background == "auto":
        return settings.openai_base_url == OPENAI_BASE_URL
    return settings.openai_background == "on"
