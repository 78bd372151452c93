"""The theatre: takes one run through the line, keeps a snapshot before each stage, sets scenes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from db.pool import open_pool
from pipeline.domain import StageName
from tests.matrix.scenes import LET_GO, Scene, Snapshot, Vendors, copied
from tests.services.forge import Forge
from tests.services.postgres import PostgresServer
from workers.accounts.adding import NewAccount, add_account, parse_credentials
from workers.channels import NewChannel, add_youtube_channel
from workers.runs.starting import RunRequest, start_run
from workers.secrets import secret_keys
from workers.settings import Settings

CHANNEL, PLAYLIST = "UC_own", "PL_1"
TOPIC, FACT = "Ice", "Ice floats."
# A held job is not due: the run stands before its stage until it is let go.
HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.scheduled_for := clock_timestamp() + interval '1 day'; RETURN NEW; END $$;
CREATE TRIGGER aaa_hold BEFORE INSERT ON queue.job_queue FOR EACH ROW
    WHEN (NEW.job_type LIKE 'video.%') EXECUTE FUNCTION hold();
"""


class Theatre:
    """Makes the snapshots once, and a scene of a copy for each test."""

    def __init__(self, server: PostgresServer, root: Path) -> None:
        self._server = server
        self._root = root
        # One place for all scenes, one after the other: artifacts are known by where they are.
        self._house = root / "house"
        self._scenes = 0
        self.vendors = Vendors()
        self.forge = Forge()
        self.forge.__enter__()
        self.snapshots = asyncio.run(self._rehearse())

    def close(self) -> None:
        self.forge.__exit__(None, None, None)
        self.vendors.close()
        for snapshot in self.snapshots.values():
            self._server.drop_database(snapshot.database)

    def _environment(self, url: str, folder: Path) -> dict[str, str]:
        return {
            "DATABASE_URL": url,
            "YTEMPIRE_DATA_DIR": str(folder),
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **self.vendors.environment(),
        }

    async def _rehearse(self) -> dict[StageName, Snapshot]:
        """Take a run through the line, and keep everything as it is before each stage."""
        database = self._server.create_database()
        url, folder = self._server.url(database), self._house
        folder.mkdir()
        environment = self._environment(url, folder)
        run = await self._begin(url, Settings.from_env(environment))
        snapshots: dict[StageName, Snapshot] = {}
        for stage in StageName:
            snapshots[stage] = self._keep(stage, database, folder, run)
            scene = Scene(stage, url, folder, run, self.vendors, self.forge, environment)
            await scene.execute(LET_GO)
            async with scene.worker():
                await scene.recorded()
        self._server.drop_database(database)
        shutil.rmtree(folder)
        return snapshots

    async def _begin(self, url: str, settings: Settings) -> UUID:
        world = self.vendors.youtube.world
        account = world.add_account(CHANNEL)
        world.playlists[PLAYLIST] = []
        pool = await open_pool(url)
        try:
            async with pool.acquire() as connection:
                await connection.execute(HOLD)
                await add_youtube_channel(
                    connection,
                    NewChannel(
                        name="small",
                        resolution="360p",
                        youtube_channel_id=CHANNEL,
                        playlist_id=PLAYLIST,
                    ),
                )
            await add_account(
                settings,
                pool,
                secret_keys(settings),
                NewAccount(
                    email="one@example.org",
                    credential=parse_credentials(json.dumps(account.file())),
                    channel="small",
                    project=None,
                    is_reserve=False,
                    upload_limit=50,
                    quota_limit=10_000,
                ),
            )
            async with pool.acquire() as connection:
                request = RunRequest(channel="small", topic=TOPIC, facts=(FACT,))
                return (await start_run(connection, request)).execution_id
        finally:
            await pool.close()

    def _keep(self, stage: StageName, database: str, folder: Path, run: UUID) -> Snapshot:
        name = f"{database}_{stage.value}"
        self._server.copy_database(database, name)
        kept = self._root / stage.value
        shutil.copytree(folder, kept)
        return Snapshot(name, kept, copied(self.vendors.youtube.world), run)

    @contextmanager
    def scene(self, stage: StageName) -> Iterator[Scene]:
        """A run that is about to begin `stage`; what follows it is held."""
        snapshot = self.snapshots[stage]
        self._scenes += 1
        folder = self._house
        shutil.copytree(snapshot.folder, folder)
        name = f"{snapshot.database}_{self._scenes}"
        self._server.copy_database(snapshot.database, name)
        url = self._server.url(name)
        self.vendors.reset(copied(snapshot.world))
        environment = self._environment(url, folder)
        scene = Scene(stage, url, folder, snapshot.run, self.vendors, self.forge, environment)
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(LET_GO)
            yield scene
        finally:
            for worker in list(self.forge.workers.values()):
                worker.kill()
            self._server.drop_database(name)
            shutil.rmtree(folder, ignore_errors=True)
