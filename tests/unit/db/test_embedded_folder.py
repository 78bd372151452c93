import time
from pathlib import Path

from db.embedded_folder import (
    RunningServer,
    ServerFolder,
    existing_folder,
    keeper_pid,
    opened_lock,
    try_lock,
    wait_for_lock,
)

STATE = RunningServer(run="r1", sockets="/some where/run", postmaster_pid=7)


def test_url_names_the_socket_folder_escaped() -> None:
    assert STATE.url == "postgresql://ytempire@/ytempire?host=/some%20where/run"


def test_state_is_read_as_written_and_none_when_missing_or_broken(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    assert folder.read_state() is None
    folder.write_state(STATE)
    assert folder.read_state() == STATE
    for broken in ("", "{", "[]", '{"run": "r1"}', '{"unknown": 1}'):
        (tmp_path / "server.json").write_text(broken)
        assert folder.read_state() is None
    folder.remove_state()
    folder.remove_state()


def test_note_of_a_migration_counts_for_its_run_and_revision_only(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    assert not folder.is_migrated("r1", "v1")
    folder.note_migrated("r1", "v1")
    assert folder.is_migrated("r1", "v1")
    assert not folder.is_migrated("r2", "v1")
    assert not folder.is_migrated("r1", "v2")


def test_lease_is_never_shortened_and_ends(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    assert folder.lease_left() == 0
    folder.extend_lease(-10)
    assert folder.lease_left() < 1
    folder.extend_lease(600)
    folder.extend_lease(5)
    assert folder.lease_left() > 500


def test_shared_locks_go_together_and_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    with (
        opened_lock(folder, folder.users_lock) as one,
        opened_lock(folder, folder.users_lock) as two,
        opened_lock(folder, folder.users_lock) as keeper,
    ):
        assert try_lock(one, exclusive=False)
        assert try_lock(two, exclusive=False)
        assert not try_lock(keeper, exclusive=True)
        assert not wait_for_lock(keeper, exclusive=True, deadline=time.monotonic())
    with opened_lock(folder, folder.users_lock) as keeper:
        assert try_lock(keeper, exclusive=True)


def test_keeper_is_known_by_its_lock_and_not_by_a_number_left_behind(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    assert keeper_pid(folder) is None
    folder.keeper_lock.write_text("123")
    assert keeper_pid(folder) is None
    with opened_lock(folder, folder.keeper_lock) as held:
        assert try_lock(held, exclusive=True)
        assert keeper_pid(folder) == 123


def test_existing_folder_follows_the_pointer_to_where_it_was_placed(tmp_path: Path) -> None:
    assert existing_folder(tmp_path) is None
    (tmp_path / "postgres.location").write_text(f"{tmp_path}/elsewhere\n")
    assert existing_folder(tmp_path) is None
    (tmp_path / "elsewhere").mkdir()
    assert existing_folder(tmp_path) == tmp_path / "elsewhere"
    (tmp_path / "postgres").mkdir()
    assert existing_folder(tmp_path) == tmp_path / "postgres"
