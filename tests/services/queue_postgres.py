"""A PostgreSQL server of one test, which it may crash, stop and start again."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from db.embedded_binaries import find_binaries
from tests.services.postgres import PostgresServer, _is_postmaster, server_environment, server_user


class MortalServer(PostgresServer):
    """Like the session's server, and `crash()`, `stop()` and `go_on()`."""

    def __init__(self, folder: Path, major: int, *, connections: int = 40) -> None:
        super().__init__(folder, "mortal")
        self._major = major
        self._connections = connections
        self.start(major)
        # Begun anew with settings under which a crash of the server loses no commit.
        self.stop()
        self.go_on()

    @property
    def pid(self) -> int:
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def crash(self) -> None:
        """As a power cut would: no goodbye to anybody."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """As an administrator would who does not wait: connections are cut."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        pid, data = self.pid, self._folder / "data"
        os.kill(pid, how)
        while _is_postmaster(pid, data):
            time.sleep(0.02)

    def go_on(self) -> None:
        """Start it again on the same data; returns once it answers."""
        user = server_user()
        identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
        data = self._folder / "data"
        with (self._folder / "log").open("ab") as output:
            server = subprocess.Popen(
                [
                    str(find_binaries(self._major).program("postgres")),
                    *("-D", str(data), "-k", str(self._folder / "s")),
                    *(
                        "-clisten_addresses=",
                        f"-cmax_connections={self._connections}",
                        "-ctimezone=UTC",
                    ),
                    *("-cfsync=off", "-cwal_level=minimal", "-cmax_wal_senders=0"),
                ],
                env=server_environment(data),
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **identity,
            )
        server.returncode = 0  # ended by its pid file, as the session's server is
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.02)
            else:
                return
