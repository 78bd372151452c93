"""Processes are started in one place, which ties them to us and limits them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPAWNERS = {
    "create_subprocess_exec", "create_subprocess_shell", "Popen", "run", "call", "check_call",
    "check_output", "system", "popen", "fork", "forkpty", "posix_spawn", "spawnv",
}  # fmt: skip
MODULES = {"subprocess", "asyncio", "os", "multiprocessing"}
#: What starts processes that are no stage's children: the embedded database's server and helpers,
#: and the demo's workers. `pipeline/children.py` is the one place for all others.
OTHERS = {
    "db/embedded.py", "db/embedded_binaries.py", "db/embedded_cluster.py", "db/embedded_keeper.py",
    "db/embedded_place.py", "workers/cli/crew.py", "pipeline/children.py",
}  # fmt: skip
#: Drawing processes start encoders and decoders without an event loop, through the same launcher.
THROUGH_THE_LAUNCHER = {"pipeline/render/artist.py", "pipeline/render/clip.py"}


def spawning_calls(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SPAWNERS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in MODULES
            and (node.func.value.id, node.func.attr) != ("asyncio", "run")
        ):
            yield node


def sources() -> list[str]:
    return sorted(
        str(file.relative_to(ROOT))
        for package in ("workers", "pipeline", "db", "migrations")
        for file in (ROOT / package).rglob("*.py")
    )


@pytest.mark.parametrize("source", [name for name in sources() if name not in OTHERS])
def test_processes_are_started_through_the_launcher(source: str) -> None:
    text = (ROOT / source).read_text(encoding="utf-8")
    for call in spawning_calls(ROOT / source):
        where = f"{source}, line {call.lineno}: {ast.unparse(call)[:80]}"
        assert source in THROUGH_THE_LAUNCHER, f"{where}: use pipeline.children"
        given = ast.unparse(call.args[0])
        assert f"{given} = children.command(" in text or given.startswith("children.command("), (
            where
        )


def test_the_guard_sees_a_process_that_is_started_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "wild.py"
    file.write_text("import subprocess\nsubprocess.Popen(['sleep', '1'])\n")
    assert len(list(spawning_calls(file))) == 1
