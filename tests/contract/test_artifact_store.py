"""What every artifact store keeps to: immutable files by content, in a folder and in a bucket."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import werkzeug.serving

from pipeline.domain import Artifact, ArtifactKind
from pipeline.errors import Deferred, Rejected, Transient, Waiting
from pipeline.providers import durable
from pipeline.providers.store import ObjectStore

KIND, TYPE = ArtifactKind.VIDEO, "video/mp4"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
Make = Callable[[], ObjectStore]


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3 server that speaks HTTP on localhost, in this process."""
    from threading import Thread

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    application = DomainDispatcherApplication(create_backend_app)
    server = werkzeug.serving.make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=_Quiet
    )
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log_request(self, *_arguments: object) -> None:
        """Say nothing: a test's output is about failures."""


def s3_options(server: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
    }


@pytest.fixture(params=["folder", "bucket"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "folder":
        return lambda: ObjectStore((tmp_path / "a rt%ifacts").as_uri(), clock=lambda: NOW)
    server = request.getfixturevalue("s3")
    bucket = f"b-{uuid4().hex}"
    answer = httpx.put(
        f"{server}/{bucket}",
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=key/20261120/us-east-1/s3/x"},
    )
    assert answer.status_code == 200, answer.text
    return lambda: ObjectStore(f"s3://{bucket}/some/prefix", s3_options(server))


def file_with(folder: Path, content: bytes, name: str = "cut.mp4") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


async def put(store: ObjectStore, file: Path) -> Artifact:
    return await store.put(file, folder="runs/1", kind=KIND, media_type=TYPE)


@pytest.mark.parametrize("size", [0, 10, 12_000_000])
async def test_what_is_put_is_fetched_by_another_process_of_the_same_store(
    make: Make, tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)
    artifact = await put(make(), file_with(tmp_path, content))
    assert artifact.sha256 == sha256(content).hexdigest()
    assert (artifact.kind, artifact.size_bytes, artifact.media_type) == (KIND, size, TYPE)
    assert artifact.url.endswith(f"runs/1/video-{artifact.sha256[:16]}.mp4")
    away = tmp_path / "away"
    away.mkdir()
    fetched = await make().fetch(artifact, folder=away)
    assert fetched.read_bytes() == content
    assert await make().fetch(artifact, folder=away) == fetched


async def test_same_content_again_is_the_same_artifact(make: Make, tmp_path: Path) -> None:
    first = await put(make(), file_with(tmp_path, b"content"))
    again = await put(make(), file_with(tmp_path, b"content", "other.mp4"))
    assert again == first
    assert await put(make(), file_with(tmp_path, b"another")) != first


async def test_artifact_with_another_hash_is_rejected(make: Make, tmp_path: Path) -> None:
    store = make()
    artifact = await put(store, file_with(tmp_path, b"content"))
    with pytest.raises(Rejected, match="damaged"):
        await store.fetch(replace(artifact, sha256="0" * 64), folder=tmp_path)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 700_000), (0, 1), (699_999, 700_000), (262_143, 524_289), (5, 5)]
)
async def test_a_range_is_read_as_it_was_stored(
    make: Make, tmp_path: Path, start: int, end: int
) -> None:
    content = os.urandom(700_000)
    artifact = await put(make(), file_with(tmp_path, content))
    pieces = [piece async for piece in make().read(artifact, start=start, end=end)]
    assert b"".join(pieces) == content[start:end]


async def test_what_cannot_be_read_says_so_before_its_first_piece(
    make: Make, tmp_path: Path
) -> None:
    store = make()
    artifact = await put(store, file_with(tmp_path, b"content"))
    gone = replace(artifact, url=artifact.url.replace("video-", "audio-"))
    with pytest.raises(Transient):
        await anext(store.read(gone, start=0, end=7))
    for url in ("file:///etc/passwd", "s3://elsewhere/x", artifact.url.replace("runs/1", "../..")):
        with pytest.raises(Rejected, match="not in the artifact store"):
            await anext(store.read(replace(artifact, url=url), start=0, end=7))


async def test_artifact_that_is_gone_is_transient(make: Make, tmp_path: Path) -> None:
    store = make()
    artifact = await put(store, file_with(tmp_path, b"content"))
    gone = replace(artifact, url=artifact.url.replace("video-", "audio-"))
    with pytest.raises(Transient):
        await store.fetch(gone, folder=tmp_path)


async def test_address_outside_the_store_is_rejected(make: Make, tmp_path: Path) -> None:
    store = make()
    artifact = await put(store, file_with(tmp_path, b"content"))
    for url in ("file:///etc/passwd", "s3://elsewhere/x", artifact.url.replace("runs/1", "../..")):
        with pytest.raises(Rejected, match="not in the artifact store"):
            await store.fetch(replace(artifact, url=url), folder=tmp_path)


@pytest.mark.parametrize("folder", ["", "/abs", "../up", "a/../b", "a//b", ".hidden", "a\nb", "ü"])
async def test_folders_that_could_lead_elsewhere_are_refused(
    make: Make, tmp_path: Path, folder: str
) -> None:
    with pytest.raises(ValueError, match="folder"):
        await make().put(file_with(tmp_path, b"x"), folder=folder, kind=KIND, media_type=TYPE)


@pytest.mark.parametrize(
    "url", ["", "/a/folder", "file://host/x", "http://e.org", "s3://", "file:x"]
)
def test_addresses_that_are_no_store_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="artifact store"):
        ObjectStore(url)


def folder_store(tmp_path: Path) -> ObjectStore:
    return ObjectStore((tmp_path / "artifacts").as_uri(), clock=lambda: NOW)


async def test_folder_answers_its_own_file(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    artifact = await put(store, file_with(tmp_path, b"content"))
    assert (await store.fetch(artifact, folder=tmp_path)).is_relative_to(tmp_path / "artifacts")


async def test_damaged_file_is_noticed_and_healed_by_a_repeat(tmp_path: Path) -> None:
    store, file = folder_store(tmp_path), file_with(tmp_path, b"content")
    artifact = await put(store, file)
    stored = await store.fetch(artifact, folder=tmp_path)
    stored.write_bytes(b"CONTENT")
    with pytest.raises(Rejected, match="damaged"):
        await store.fetch(artifact, folder=tmp_path)
    assert await put(store, file) == artifact
    assert (await store.fetch(artifact, folder=tmp_path)).read_bytes() == b"content"


async def test_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    artifact = await put(store, file_with(tmp_path, b"content"))
    (tmp_path / "artifacts" / "runs" / "away").symlink_to("/etc")
    outside = replace(artifact, url=(tmp_path / "artifacts/runs/away/passwd").as_uri())
    with pytest.raises(Rejected, match="not in the artifact store"):
        await store.fetch(outside, folder=tmp_path)


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, Deferred), (errno.EROFS, Waiting), (errno.EIO, Transient)],
)
async def test_disk_trouble_says_what_the_queue_should_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    def refuse(_descriptor: int, _content: memoryview) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable, "_write", refuse)
    with pytest.raises(error) as caught:
        await put(folder_store(tmp_path), file_with(tmp_path, b"content"))
    if isinstance(caught.value, Deferred):
        assert caught.value.until == NOW + timedelta(minutes=5)
        assert "full" in str(caught.value)
    assert not [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()]


async def test_bucket_refusing_credentials_waits_for_a_person(s3: str, tmp_path: Path) -> None:
    class _Refused(werkzeug.serving.WSGIRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if self.parse_request():
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True

    from threading import Thread

    server = werkzeug.serving.make_server("127.0.0.1", 0, None, request_handler=_Refused)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(Waiting, match="credentials"):
            await put(ObjectStore("s3://b", s3_options(address)), file_with(tmp_path, b"x"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_bucket_that_cannot_be_reached_is_transient(tmp_path: Path) -> None:
    store = ObjectStore("s3://b", s3_options("http://127.0.0.1:9"))
    with pytest.raises(Transient, match="s3://b"):
        await put(store, file_with(tmp_path, b"x"))


async def test_files_are_listed_with_size_and_age_and_can_be_removed(
    make: Make, tmp_path: Path
) -> None:
    store = make()
    first = await put(store, file_with(tmp_path, b"one"))
    await put(store, file_with(tmp_path, b"three"))
    listed = {file.url: file async for file in store.list_files("runs")}
    assert sorted(file.size_bytes for file in listed.values()) == [3, 5]
    found = listed[first.url]
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)
    assert not found.temporary
    assert [file async for file in store.list_files("elsewhere")] == []

    for _ in range(2):
        await store.remove(first.url)
    assert [file.size_bytes async for file in store.list_files("runs")] == [5]
    with pytest.raises(Transient):
        await store.fetch(first, folder=tmp_path)
    with pytest.raises(Rejected, match="not in the artifact store"):
        await store.remove("file:///etc/passwd")


async def test_what_a_killed_writer_left_is_listed_as_such(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    stored = Path((await put(store, file_with(tmp_path, b"one"))).url.removeprefix("file://"))
    left = stored.with_name(f".{stored.name}.{uuid4().hex}.tmp")
    left.write_bytes(b"on")
    by_name = {file.url: file.temporary async for file in store.list_files("runs")}
    assert by_name == {stored.as_uri(): False, left.as_uri(): True}
