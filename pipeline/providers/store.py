"""Artifacts in a folder or an S3-compatible bucket, named by what they contain.

A key is `<folder>/<kind>-<first 16 of the SHA-256><suffix>`. A folder is written by our own durable
put: obstore's local store renames without flushing, so a power cut could leave an empty artifact
behind a committed row. A bucket goes through obstore, whose retries are kept short, since the queue
repeats the stage.
"""

import asyncio
import contextlib
import hashlib
import re
import stat
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from pipeline.domain import Artifact, ArtifactKind
from pipeline.errors import Damaged, Rejected, StageError, Transient, Waiting
from pipeline.providers.durable import (
    copy_durably,
    digest,
    disk_trouble,
    is_temporary,
    make_folder,
)
from pipeline.storing import StoredFile

Clock = Callable[[], datetime]

PIECE_BYTES = 256 * 1024
_SAFE_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127})*")
_SAFE_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?")
_SUFFIX_BY_TYPE = {
    "audio/wav": ".wav",
    "video/mp4": ".mp4",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "application/json": ".json",
    "application/x-subrip": ".srt",
    "text/vtt": ".vtt",
}


# obstore 0.12 raises the builtin for a missing object, its documentation says its own.
_MISSING = (NotFoundError, FileNotFoundError)


def _now() -> datetime:
    return datetime.now(UTC)


class ObjectStore:
    """The artifact store at `file:///folder` or `s3://bucket/prefix`.

    `options` are the usual AWS variables by name (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...);
    they are for buckets only. Raises `ValueError` for an address that is neither.
    """

    def __init__(
        self, url: str, options: Mapping[str, str] | None = None, clock: Clock = _now
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
            self._place: _Folder | _Bucket = _Folder(Path(unquote(parts.path)), clock)
        elif parts.scheme == "s3" and parts.netloc:
            self._place = _Bucket(url.rstrip("/"), options or {}, clock)
        else:
            raise ValueError(
                f"the artifact store is file:///absolute/folder or s3://bucket/prefix, not {url!r}"
            )

    async def put(
        self, file: Path, *, folder: str, kind: ArtifactKind, media_type: str
    ) -> Artifact:
        """Store `file` below `folder`; the same content again is not written again."""
        if not _SAFE_PATH.fullmatch(folder):
            raise ValueError(f"not a folder of letters, digits, dots and dashes: {folder!r}")
        sha256, size = await asyncio.to_thread(_measure, file)
        suffix = file.suffix.lower() or _SUFFIX_BY_TYPE.get(media_type, "")
        if not _SAFE_SUFFIX.fullmatch(suffix):
            suffix = ""
        key = f"{folder}/{kind.value}-{sha256[:16]}{suffix}"
        url = await self._place.put(file, key, sha256, size, media_type)
        return Artifact(kind, sha256, size, media_type, url)

    async def fetch(self, artifact: Artifact, *, folder: Path) -> Path:
        """The artifact as a local file, its hash checked; a folder's own file is not copied."""
        return await self._place.fetch(artifact, folder)

    def read(self, artifact: Artifact, *, start: int, end: int) -> AsyncIterator[bytes]:
        """A part of the artifact in pieces, as it is stored; no file of ours is made."""
        return self._place.read(artifact, start, end)

    def list_files(self, folder: str) -> AsyncIterator[StoredFile]:
        """All files below `folder`, in no order."""
        if not _SAFE_PATH.fullmatch(folder):
            raise ValueError(f"not a folder of letters, digits, dots and dashes: {folder!r}")
        return self._place.list_files(folder)

    async def remove(self, url: str) -> None:
        """Remove a file; a repeat changes nothing."""
        await self._place.remove(url)


class _Folder:
    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    async def put(self, file: Path, key: str, sha256: str, size: int, _media_type: str) -> str:
        return await asyncio.to_thread(self._put, file, key, sha256, size)

    def _put(self, file: Path, key: str, sha256: str, size: int) -> str:
        target = self._root / key
        with disk_trouble(f"storing {file.name} in {target.parent}", self._clock()):
            # A stored file that was damaged since is written anew: a repeat must heal, not trust.
            if not (_has_size(target, size) and digest(target) == sha256):
                make_folder(target.parent)
                if copy_durably(file, target) != sha256:
                    target.unlink(missing_ok=True)
                    raise Transient(f"{file} changed while it was stored")
        return target.absolute().as_uri()

    async def fetch(self, artifact: Artifact, _folder: Path) -> Path:
        return await asyncio.to_thread(self._fetch, artifact)

    def _fetch(self, artifact: Artifact) -> Path:
        path = self._path(artifact.url)
        with disk_trouble(f"reading {path}", self._clock()):
            found = digest(path)
        _compare(artifact, found)
        return path

    def _path(self, url: str) -> Path:
        path = Path(unquote(urlsplit(url).path))
        # The address comes from a row: it may not lead out of the store, not by a link either.
        if urlsplit(url).scheme != "file" or not path.resolve().is_relative_to(
            self._root.resolve()
        ):
            raise Rejected(f"{url} is not in the artifact store {self._root.as_uri()}")
        return path

    async def list_files(self, folder: str) -> AsyncIterator[StoredFile]:
        with disk_trouble(f"looking through {self._root / folder}", self._clock()):
            for found in await asyncio.to_thread(self._list_files, folder):
                yield found

    def _list_files(self, folder: str) -> list[StoredFile]:
        found = []
        for path in (self._root / folder).rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # somebody removed it meanwhile
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    temporary = is_temporary(path)
                    url = path.absolute().as_uri()
                    found.append(StoredFile(url, status.st_size, modified, temporary))
        return found

    async def remove(self, url: str) -> None:
        path = self._path(url)
        with disk_trouble(f"removing {path}", self._clock()):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def read(self, artifact: Artifact, start: int, end: int) -> AsyncIterator[bytes]:
        path = self._path(artifact.url)
        with disk_trouble(f"reading {path}", self._clock()):
            stream = await asyncio.to_thread(path.open, "rb")
            try:
                await asyncio.to_thread(stream.seek, start)
                left = end - start
                while left > 0:
                    piece = await asyncio.to_thread(stream.read, min(PIECE_BYTES, left))
                    if not piece:
                        raise Transient(f"{path} ends before byte {end}")
                    left -= len(piece)
                    yield piece
            finally:
                stream.close()


class _Bucket:
    def __init__(self, url: str, options: Mapping[str, str], clock: Clock) -> None:
        config = {name.upper(): value for name, value in options.items()}
        plain = config.get("AWS_ENDPOINT_URL", "").startswith("http://")
        self._url = url
        self._clock = clock
        self._store = S3Store.from_url(
            url,
            config=cast("Any", config),
            client_options={"allow_http": plain, "timeout": timedelta(minutes=10)},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
        )

    async def put(self, file: Path, key: str, sha256: str, size: int, media_type: str) -> str:
        what = f"storing {file.name} as {self._url}/{key}"
        try:
            if await self._holds(key, sha256, size):
                return self._address(key)
            with disk_trouble(what, self._clock()):
                await obstore.put_async(
                    self._store,
                    key,
                    file,
                    attributes=cast("Any", {"Content-Type": media_type, "sha256": sha256}),
                )
            if not await self._holds(key, sha256, size):
                raise Transient(f"{what}: the bucket does not have what it was given")
        except BaseError as error:
            raise _judged(what, error) from error
        return self._address(key)

    async def _holds(self, key: str, sha256: str, size: int) -> bool:
        try:
            found = await obstore.get_async(self._store, key, options={"head": True})
        except _MISSING:
            return False
        return found.meta["size"] == size and found.attributes.get("sha256") == sha256

    def _address(self, key: str) -> str:
        return f"{self._url}/{quote(key)}"

    def _key(self, url: str) -> str:
        prefix = f"{self._url}/"
        key = unquote(url.removeprefix(prefix))
        if not url.startswith(prefix) or not _SAFE_PATH.fullmatch(key):
            raise Rejected(f"{url} is not in the artifact store {self._url}")
        return key

    async def list_files(self, folder: str) -> AsyncIterator[StoredFile]:
        """An unfinished upload is no object: a bucket has no temporary files."""
        try:
            async for batch in obstore.list(self._store, f"{folder}/"):
                for meta in batch:
                    yield StoredFile(
                        self._address(meta["path"]), meta["size"], meta["last_modified"], False
                    )
        except BaseError as error:
            raise _judged(f"looking through {self._url}/{folder}", error) from error

    async def remove(self, url: str) -> None:
        try:
            with contextlib.suppress(*_MISSING):
                await obstore.delete_async(self._store, self._key(url))
        except BaseError as error:
            raise _judged(f"removing {url}", error) from error

    async def read(self, artifact: Artifact, start: int, end: int) -> AsyncIterator[bytes]:
        if start >= end:
            return
        key = self._key(artifact.url)
        try:
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for chunk in cast("AsyncIterator[Any]", found.stream(min_chunk_size=PIECE_BYTES)):
                yield bytes(chunk)
        except _MISSING as error:
            raise Transient(f"{artifact.url} is not in the bucket (any more)") from error
        except BaseError as error:
            raise _judged(f"reading {artifact.url}", error) from error

    async def fetch(self, artifact: Artifact, folder: Path) -> Path:
        key = self._key(artifact.url)
        target = folder / key.rsplit("/", 1)[-1]
        with disk_trouble(f"fetching {artifact.url} into {folder}", self._clock()):
            if (
                _has_size(target, artifact.size_bytes)
                and await asyncio.to_thread(digest, target) == artifact.sha256
            ):
                return target
            try:
                found = await obstore.get_async(self._store, key)
                await self._download(found.stream(), artifact, target)
            except _MISSING as error:
                raise Transient(f"{artifact.url} is not in the bucket (any more)") from error
            except BaseError as error:
                raise _judged(f"fetching {artifact.url}", error) from error
        return target

    async def _download(self, chunks: Any, artifact: Artifact, target: Path) -> None:
        """Write beside the target, then rename: a half-fetched file never has its name."""
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        seen = hashlib.sha256()
        try:
            with partial.open("wb") as stream:
                async for chunk in cast("AsyncIterator[Any]", chunks):
                    content = memoryview(chunk)
                    seen.update(content)
                    stream.write(content)
            _compare(artifact, seen.hexdigest())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _measure(file: Path) -> tuple[str, int]:
    return digest(file), file.stat().st_size


def _has_size(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except FileNotFoundError:
        return False


def _compare(artifact: Artifact, found: str) -> None:
    if found != artifact.sha256:
        raise Damaged(
            f"{artifact.url} is damaged: its SHA-256 is {found[:16]}..., {artifact.sha256[:16]}..."
            " was stored; retry the run from the stage that made it",
            kind=artifact.kind,
        )


def _judged(what: str, error: BaseError) -> StageError:
    reason = str(error).split("\n", 1)[0]
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return Waiting(f"{what}: the bucket refused the credentials ({reason})")
    return Transient(f"{what}: {reason}")
