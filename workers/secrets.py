"""Secrets at rest: sealed envelopes that only their own table, row and column can open.

An envelope holds a key of its own, wrapped by one of ours, and the text encrypted with it, both by
AES-256-GCM. Which of our keys is told by its id. The database server sees envelopes only.

    {"v": 1, "key": "<id>", "dek": "<base64>", "data": "<base64>"}     nonce first in each
"""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import Waiting
from workers.settings import Settings, SettingsError

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_FILE = "secret.keys"
_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")


class SecretKeys:
    """Our keys by id; the first seals, all open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self.current = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str, *, source: str) -> "SecretKeys":
        """Read `id:base64,id:base64`. Raises `SettingsError` that names the source, no key."""
        keys: dict[str, bytes] = {}
        for number, part in enumerate(text.strip().split(","), start=1):
            id_, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not _ID.fullmatch(id_) or id_ in keys or len(key) != KEY_BYTES:
                raise SettingsError(
                    f"{source}: entry {number} is not id:base64 with an id of its own and a key of"
                    f" {KEY_BYTES} bytes; make one with: openssl rand -base64 {KEY_BYTES}"
                )
            keys[id_] = key
        return cls(keys)

    def __repr__(self) -> str:
        return f"SecretKeys({', '.join(self._keys)})"

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """A key of its own for another purpose from each of our keys, the current one first."""
        return tuple(
            HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)
            for key in self._keys.values()
        )

    def seal(self, text: str, *, table: str, row: object, column: str) -> dict[str, Any]:
        """An envelope for this place, different at every call."""
        place = _place(table, row, column)
        own = AESGCM.generate_key(KEY_BYTES * 8)
        return {
            "v": 1,
            "key": self.current,
            "dek": _encrypt(self._keys[self.current], own, [*place, self.current]),
            "data": _encrypt(own, text.encode(), place),
        }

    def open(self, envelope: Mapping[str, Any], *, table: str, row: object, column: str) -> str:
        """The text of an envelope of this place.

        Raises `Waiting` when we lack its key, and when it was changed or belongs elsewhere.
        """
        place = _place(table, row, column)
        where = f"the secret in {table}.{column} of row {row}"
        id_ = str(envelope.get("key"))
        key = self._keys.get(id_)
        if key is None:
            raise Waiting(
                f"{where} is sealed with key {id_!r}, which is not among ours: add it to"
                " YTEMPIRE_SECRET_KEYS"
            )
        try:
            own = _decrypt(key, envelope["dek"], [*place, id_])
            return _decrypt(own, envelope["data"], place).decode()
        except (InvalidTag, KeyError, TypeError, ValueError) as error:
            raise Waiting(
                f"{where} was changed, or belongs to another row; enter the secret again"
            ) from error


def _place(table: str, row: object, column: str) -> list[str]:
    return [table, str(row), column]


def _associated(parts: list[str]) -> bytes:
    """The parts as bytes that no other parts make."""
    return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)


def _encrypt(key: bytes, text: bytes, bound_to: list[str]) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, text, _associated(bound_to))
    return base64.b64encode(nonce + sealed).decode()


def _decrypt(key: bytes, encoded: str, bound_to: list[str]) -> bytes:
    sealed = base64.b64decode(encoded, validate=True)
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(bound_to))


def secret_keys(settings: Settings) -> SecretKeys:
    """The keys of the settings; without any, those of the 0600 file in the data folder, made once.

    Raises `SettingsError` for a shared database with YouTube and no keys: a file on this host
    would leave the others unable to open what it seals.
    """
    if settings.secret_keys is not None:
        return SecretKeys.parse(settings.secret_keys, source="YTEMPIRE_SECRET_KEYS")
    if settings.database_url is not None and settings.host_provider == "youtube":
        raise SettingsError(
            "YTEMPIRE_SECRET_KEYS is needed to keep YouTube credentials in DATABASE_URL: set it to"
            f" id:base64 with a key of {KEY_BYTES} bytes (openssl rand -base64 {KEY_BYTES}), the"
            " same on every host"
        )
    file = settings.data_dir / KEY_FILE
    try:
        return SecretKeys.parse(file.read_text(encoding="ascii"), source=str(file))
    except FileNotFoundError:
        _make_key_file(file)
    return SecretKeys.parse(file.read_text(encoding="ascii"), source=str(file))


def _make_key_file(file: Path) -> None:
    """Make the file whole or not at all; of several makers at once the first one wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    encoded = base64.b64encode(secrets.token_bytes(KEY_BYTES))
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(b"local:" + encoded + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(fresh, file)
        except FileExistsError:
            return
    finally:
        fresh.unlink()
