"""Channels, accounts and runs straight in the tables, many at once, for what reserves accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Pool
from db.repositories.accounts import Account
from workers.accounts.reservation import reserve_account


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has come to its upload."""

    execution_id: UUID
    video_id: UUID
    channel_id: UUID


@dataclass(frozen=True, slots=True)
class Network:
    pool: Pool

    async def channel(self, name: str, *, playlist: bool = False) -> UUID:
        id_: UUID = await self.pool.fetchval(
            "INSERT INTO channels (user_id, name, playlist_id)"
            " SELECT id, $1, $2 FROM users LIMIT 1 RETURNING id",
            name,
            "PL_1" if playlist else None,
        )
        return id_

    async def account(
        self,
        name: str,
        channels: Sequence[UUID],
        *,
        project: str | None = "1",
        **columns: Any,
    ) -> UUID:
        """An account that may upload for these channels; `columns` are youtube_accounts'."""
        given = {
            "email": f"{name}@example.org",
            "channel_id": f"UC_{name}",
            "quota_project_id": project,
            "credentials": {},
            **columns,
        }
        names, places = ", ".join(given), ", ".join(f"${n + 1}" for n in range(len(given)))
        id_: UUID = await self.pool.fetchval(
            f"INSERT INTO youtube_accounts ({names}) VALUES ({places}) RETURNING id",
            *given.values(),
        )
        await self.pool.execute(
            "INSERT INTO channel_accounts (channel_id, youtube_account_id)"
            " SELECT unnest($1::uuid[]), $2",
            list(channels),
            id_,
        )
        return id_

    async def runs(self, channel: UUID, count: int = 1) -> list[Run]:
        rows = await self.pool.fetch(
            """WITH v AS (INSERT INTO videos (channel_id)
                          SELECT $1::uuid FROM generate_series(1, $2::int) RETURNING id)
               INSERT INTO workflow_executions (workflow_id, channel_id, video_id, status,
                                                current_step)
               SELECT w.id, $1, v.id, 'running', 'upload'
                 FROM v, (SELECT id FROM automation_workflows LIMIT 1) w
               RETURNING id, video_id""",
            channel,
            count,
        )
        return [Run(row["id"], row["video_id"], channel) for row in rows]

    async def run(self, channel: UUID) -> Run:
        return (await self.runs(channel))[0]

    async def reserve(self, run: Run, at: datetime | None = None) -> Account:
        return await reserve_account(
            self.pool,
            execution_id=run.execution_id,
            channel_id=run.channel_id,
            video_id=run.video_id,
            at=at,
        )

    async def used(self, project: str, bucket: str) -> int:
        """Units counted on the project's bucket, all days together."""
        return int(
            await self.pool.fetchval(
                "SELECT coalesce(sum(used), 0) FROM quota_usage"
                " WHERE quota_project_id = $1 AND bucket = $2",
                project,
                bucket,
            )
        )

    async def limit(self, bucket: str, units: int, *, project: str | None = None) -> None:
        """Change what the policy grants; days that have begun keep what they have."""
        path = ["projects", project, bucket] if project else ["limits", bucket]
        if project:
            await self.pool.execute(
                "UPDATE system_config SET value = jsonb_set(value, ARRAY['projects', $1],"
                " coalesce(value #> ARRAY['projects', $1], '{}')) WHERE key = 'youtube.quota'",
                project,
            )
        await self.pool.execute(
            "UPDATE system_config SET value = jsonb_set(value, $1::text[], to_jsonb($2::int))"
            " WHERE key = 'youtube.quota'",
            path,
            units,
        )
