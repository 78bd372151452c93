"""The app for Procrastinate's own command line, on the database and the parts of the settings.

    procrastinate --app workers.procrastinate_app.app worker | defer | shell | healthchecks

Importing it reads no setting and opens nothing: that happens when the command opens the app, and
only `worker` builds what stages work with.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Unpack

from procrastinate.app import WorkerOptions

from db.embedded import database_url
from db.pool import Pool
from workers.app import add_tasks
from workers.disk import DiskGuard, folders_of
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector
from workers.queue.job_manager import WorkerIdentity, registering
from workers.settings import Settings


class SettingsConnector(JobQueueConnector):
    """Finds its database in the settings when it opens, and has the embedded one up until it
    closes. Raises what the settings and the embedded server raise."""

    def __init__(self) -> None:
        super().__init__("")
        self._database = ExitStack()

    async def open_async(self, pool: Pool | None = None) -> None:
        if not self.url:
            self.url = self._database.enter_context(database_url(Settings.from_process()))
        try:
            await super().open_async(pool)
        except BaseException:
            self._leave()
            raise

    async def close_async(self) -> None:
        try:
            await super().close_async()
        finally:
            self._leave()

    def _leave(self) -> None:
        self.url = ""
        self._database.close()


class ProcrastinateApp(QueueApp):
    """Its worker gives stages their runtime, as `ytempire worker` does; a stop keeps the meaning
    that Procrastinate's options give it."""

    async def run_worker_async(self, **options: Unpack[WorkerOptions]) -> None:
        from workers.runtime import open_runtime  # what draws and speaks: only a worker needs it

        name, queues = options.get("name") or "procrastinate", options.get("queues")
        concurrency = options.get("concurrency", 1)
        served = None if queues is None else list(queues)
        token = registering.set(WorkerIdentity(name=name, queues=served))
        try:
            async with open_runtime(
                Settings.from_process(),
                self.job_manager.connector.url,
                name=f"ytempire {name}",
                pool_size=concurrency + 4,
            ) as runtime:
                given = options.get("additional_context", {})
                options["additional_context"] = {**given, "runtime": runtime}
                self.job_manager.limit_queues = DiskGuard(*folders_of(runtime.settings))
                await super().run_worker_async(**options)
        finally:
            registering.reset(token)


app = ProcrastinateApp(connector=SettingsConnector())
add_tasks(app)
