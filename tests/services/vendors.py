"""The vendors' adapters on our stand-ins, made as the workers make them: from settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from pipeline.calls import Answered
from pipeline.ports import Narrator, PaidCall, ScriptWriter
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.openai_server import OpenAIServer
from workers.settings import Settings
from workers.vendors.elevenlabs import make_narrator
from workers.vendors.openai import make_writer


class PlainCalls:
    """A ledger for tests of an adapter alone: every call is made, nothing is kept of it."""

    async def make(self, call: PaidCall) -> Answered:
        async def note(reference: str) -> None:
            pass

        answer = await call.send(uuid4(), note)
        return Answered(answer, call.judge(answer).charge)


def openai_environment(server: OpenAIServer) -> dict[str, str]:
    return {
        "YTEMPIRE_SCRIPT_PROVIDER": "openai",
        "OPENAI_API_KEY": server.key,
        "OPENAI_BASE_URL": server.base_url,
    }


@asynccontextmanager
async def openai_writer(server: OpenAIServer, **environment: str) -> AsyncIterator[ScriptWriter]:
    settings = Settings.from_env(openai_environment(server) | environment)
    async with AsyncExitStack() as stack:
        yield make_writer(settings, stack)(PlainCalls())


def elevenlabs_environment(server: ElevenLabsServer) -> dict[str, str]:
    return {
        "YTEMPIRE_VOICE_PROVIDER": "elevenlabs",
        "ELEVENLABS_API_KEY": server.key,
        "YTEMPIRE_ELEVENLABS_BASE_URL": server.root,
    }


@asynccontextmanager
async def elevenlabs_narrator(
    server: ElevenLabsServer, **environment: str
) -> AsyncIterator[Narrator]:
    settings = Settings.from_env(elevenlabs_environment(server) | environment)
    async with AsyncExitStack() as stack:
        yield make_narrator(settings, stack)(PlainCalls())
