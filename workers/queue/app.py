"""Procrastinate's App on the job queue of this application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from procrastinate import App
from procrastinate.app import WorkerOptions

from workers.queue.connector import JobQueueConnector
from workers.queue.job_manager import JobQueueManager
from workers.queue.middleware import observe_job


class QueueApp(App):
    """An App whose job manager is fenced and whose workers observe their jobs by default."""

    job_manager: JobQueueManager

    def __init__(
        self,
        *,
        connector: JobQueueConnector,
        import_paths: Iterable[str] | None = None,
        worker_defaults: WorkerOptions | None = None,
        periodic_defaults: dict[str, Any] | None = None,
    ) -> None:
        defaults: WorkerOptions = {
            "worker_middleware": [observe_job],
            "fetch_job_polling_interval": 2.0,
        }
        super().__init__(
            connector=connector,
            import_paths=import_paths,
            worker_defaults={**defaults, **(worker_defaults or {})},
            periodic_defaults=periodic_defaults,
        )
        self.job_manager = JobQueueManager(connector, knows_task=lambda name: name in self.tasks)
