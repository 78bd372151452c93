"""The wheel holds what it needs, and ytempire alone owns its four import packages."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("workers", "pipeline", "db", "migrations")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
    )  # fmt: skip
    (built,) = folder.glob("ytempire-*.whl")
    return built


def test_wheel_holds_sql_migrations_fonts_and_examples(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for expected in ("db/sql/job_queue.sql", "workers/examples/topics.csv"):
        assert expected in names
    assert any(name.startswith("migrations/versions/2026") for name in names)
    assert any(name.endswith(".ttf") for name in names)
    assert not any(name.startswith("tests/") for name in names)


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed beside the locked dependencies."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--disable-pip-version-check", "--target", str(target), str(wheel)],
        check=True,
    )  # fmt: skip
    return target


def run_installed(site: Path, code: str, *arguments: str) -> str:
    """What a program prints that finds our packages in the site alone, not in the checkout."""
    prologue = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    done = subprocess.run(
        [sys.executable, "-I", "-c", prologue + code, str(site), *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=site,
    )
    return done.stdout


def test_installed_wheel_runs(site: Path) -> None:
    code = "import db, workers.cli; assert db.__file__.startswith(sys.path[0]); workers.cli.main()"
    assert "demo" in run_installed(site, code, "--help")


def test_ytempire_alone_owns_its_packages(site: Path) -> None:
    code = (
        "import json; from importlib.metadata import packages_distributions as owners; "
        f"print(json.dumps({{name: sorted(set(owners()[name])) for name in {PACKAGES!r}}}))"
    )
    assert json.loads(run_installed(site, code)) == {name: ["ytempire"] for name in PACKAGES}
