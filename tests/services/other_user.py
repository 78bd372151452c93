"""Runs our code as a normal user, whoever runs the tests.

When root runs them, that is `nobody`, who may enter neither root's home nor anything below it:
the interpreter and the packages are then linked (or copied) to where it may.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import db

REPOSITORY = Path(db.__path__[0]).parent
PACKAGES = ("db", "migrations", "pipeline", "workers")
LEFT_OUT = shutil.ignore_patterns("test", "__pycache__", "site-packages", "idlelib", "config-3*")


class OtherUser:
    """An unprivileged user with a home of mode 0700 and an environment it can run."""

    def __init__(self, folder: Path) -> None:
        self.identity: dict[str, Any] = {}
        self.python = sys.executable
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self._paths = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
        self._libraries: Path | None = None
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            self._bring_within_reach(folder)

    @property
    def environment(self) -> Mapping[str, str]:
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        if self._paths:
            variables["PYTHONPATH"] = os.pathsep.join(self._paths)
        if self._libraries:
            variables["LD_LIBRARY_PATH"] = str(self._libraries)
        return variables

    def run(self, code: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python code; `more` are further environment variables."""
        return subprocess.run(
            [self.python, "-P", "-c", code, *arguments],
            env={**self.environment, **more},
            cwd=self.home.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **self.identity,
        )

    def _bring_within_reach(self, folder: Path) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        base = Path(sys.base_prefix)
        packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
        if not self._may_read(base / "lib" / version / "os.py"):
            near = folder / "python"
            _link_tree(base / "lib" / version, near / "lib" / version)
            (near / "bin").mkdir()
            _link(str(base / "bin" / version), str(near / "bin" / version))
            for library in base.glob("lib/libpython*"):
                _link(str(library), str(near / "lib" / library.name))
            base, self._libraries = near, near / "lib"
        self.python = str(base / "bin" / version)
        if not self._may_read(packages / "psutil" / "__init__.py"):
            _link_tree(packages, folder / "packages")
            packages = folder / "packages"
        repository = REPOSITORY
        if not self._may_read(repository / "db" / "__init__.py"):
            repository = folder / "repository"
            for name in PACKAGES:
                _link_tree(REPOSITORY / name, repository / name)
        self._paths = [str(repository), str(packages)]

    def _may_read(self, path: Path) -> bool:
        asked = subprocess.run(
            ["test", "-r", str(path)], cwd="/", check=False, env={}, **self.identity
        )
        return asked.returncode == 0


def _link(source: str, target: str) -> None:
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link, ignore=LEFT_OUT)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
