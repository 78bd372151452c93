"""Which adapter a provider's name in the settings stands for: one line each.

Adapters are imported where they are built: a process loads only what its settings chose. Whatever
an adapter opens is closed by the runtime's exit stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Protocol

from db.pool import Pool
from db.repositories.accounts import Account
from pipeline.errors import Rejected
from pipeline.ports import Narrator, ScriptWriter, VideoHost, VideoStatistics
from workers.settings import Settings, SettingsError


class Host(VideoHost, VideoStatistics, Protocol):
    """A host seen through one account: it takes videos and tells what became of them."""


HostFor = Callable[[Account, str], Host]
"""From an account and the name of the channel it uploads for to its host."""


def _template_writer(settings: Settings, pool: Pool, stack: AsyncExitStack) -> ScriptWriter:
    from pipeline.providers.writer_local import TemplateWriter

    return TemplateWriter()


def _openai_writer(settings: Settings, pool: Pool, stack: AsyncExitStack) -> ScriptWriter:
    from workers.openai_provider import make_writer

    return make_writer(settings, stack)


def _espeak_narrator(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Narrator:
    from pipeline.providers.narrator_local import EspeakNarrator, EspeakOptions

    try:
        return EspeakNarrator(EspeakOptions(variant=settings.voice))
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_VOICE: {error}") from error


def _elevenlabs_narrator(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Narrator:
    from workers.elevenlabs_provider import make_narrator

    return make_narrator(settings, stack)


def _local_hosts(settings: Settings, pool: Pool, stack: AsyncExitStack) -> HostFor:
    from pipeline.providers.host_local import LocalHost

    def host_for(account: Account, channel_name: str) -> Host:
        if account.channel_id is None:
            raise Rejected(f"account {account.email} belongs to no channel")
        return LocalHost(
            settings.published_folder,
            channel_id=account.channel_id,
            channel_name=channel_name,
            clock=lambda: datetime.now(UTC),
        )

    return host_for


SCRIPT_WRITERS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], ScriptWriter]] = {
    "local": _template_writer,
    "openai": _openai_writer,
}
NARRATORS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], Narrator]] = {
    "local": _espeak_narrator,
    "elevenlabs": _elevenlabs_narrator,
}
HOSTS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], HostFor]] = {
    "local": _local_hosts,
}
