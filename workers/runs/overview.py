"""A run as people and programs look at it: `run show`, the HTTP status, callbacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.repositories.costs import CostLine, Costs
from db.repositories.executions import ExecutionOverview, Executions
from db.repositories.run_control import Rejection, RunControl
from db.repositories.steps import StepListed, Steps
from db.repositories.uploads import RunUpload, Uploads
from pipeline.domain import ExecutionStatus
from pipeline.hosting import Extra
from pipeline.stages.extras import extras_from
from workers.channels import NotFound


@dataclass(frozen=True, slots=True)
class Overview:
    """A run with its video, steps and costs."""

    run: ExecutionOverview
    steps: Sequence[StepListed]
    costs: Sequence[CostLine]
    extras: Sequence[Extra]
    upload: RunUpload | None = None
    rejections: Sequence[Rejection] = ()

    @property
    def ended(self) -> bool:
        return ExecutionStatus(self.run.status).ended

    def document(self) -> dict[str, Any]:
        """The JSON object of section 9 of the design, under the names it fixes."""
        run = self.run
        by_service: dict[str, Any] = {}
        for line in self.costs:
            by_service[line.service] = by_service.get(line.service, 0) + line.amount
        return {
            "id": run.id,
            "status": run.status,
            "current_step": run.current_step,
            "channel": {"id": run.channel_id, "name": run.channel_name},
            "video": {
                "id": run.video_id,
                "title": run.title,
                "status": run.video_status,
                "youtube_video_id": run.youtube_video_id,
                "url": run.youtube_url,
                "path": run.path,
                "duration_seconds": run.duration_seconds,
            },
            "steps": [
                {
                    "name": step.step_name,
                    "status": step.status,
                    "attempt": step.attempt,
                    "started_at": step.started_at,
                    "completed_at": step.completed_at,
                    "cost": step.cost,
                    "error": step.error_message,
                }
                for step in self.steps
            ],
            "extras": [
                {
                    "name": extra.name,
                    "status": extra.status,
                    "reason": extra.reason,
                    "until": extra.until,
                }
                for extra in self.extras
            ],
            "cost": {"total": run.cost, "by_service": by_service},
            "upload": None
            if self.upload is None
            else {
                "status": self.upload.status,
                "youtube_video_id": self.upload.youtube_video_id,
                "note": self.upload.error_message,
            },
            "rejections": [
                {"to_step": r.step_name, "reason": r.reason, "by": r.by, "at": r.at}
                for r in self.rejections
            ],
            "error": run.error_message,
            "next_retry_at": run.next_retry_at,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "n8n_execution_id": run.n8n_execution_id,
        }


async def load_overview(connection: Connection, execution_id: UUID) -> Overview:
    """Everything `run show` shows. Raises `NotFound`."""
    run = await Executions(connection).find_overview(execution_id=execution_id)
    if run is None:
        raise NotFound(f"there is no run {execution_id}")
    steps = Steps(connection)
    upload = await steps.find_upload(execution_id=execution_id)
    return Overview(
        run=run,
        steps=await steps.list(execution_id=execution_id),
        costs=await Costs(connection).list_by_execution(execution_id=execution_id),
        extras=() if upload is None else extras_from(upload.extras),
        upload=await Uploads(connection).find_of_run(execution_id=execution_id),
        rejections=await RunControl(connection).list_rejections(execution_id=execution_id),
    )
