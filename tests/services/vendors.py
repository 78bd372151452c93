"""The vendors' adapters on our stand-ins, made as the workers make them: from settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pipeline.ports import ScriptWriter
from tests.services.openai_server import OpenAIServer
from workers.openai_provider import make_writer
from workers.settings import Settings


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
        yield make_writer(settings, stack)
