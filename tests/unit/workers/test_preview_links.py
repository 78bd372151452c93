"""Links to review pages: one run, for a while, by our keys only."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from workers.runs.preview_links import LIFETIME, BadLink, ExpiredLink, PreviewLinks, preview_url
from workers.secrets import SecretKeys
from workers.settings import Settings

RUN = UUID("11111111-2222-3333-4444-555555555555")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEYS = SecretKeys({"new": b"n" * 32, "old": b"o" * 32})
LINKS = PreviewLinks(KEYS)


def test_token_grants_its_run_until_its_time_is_over() -> None:
    token = LINKS.token(RUN, now=NOW)
    last = NOW + LIFETIME - timedelta(seconds=1)
    assert (LINKS.read(token, now=last).run, LINKS.read(token, now=last).expires_at) == (
        RUN,
        NOW + LIFETIME,
    )
    with pytest.raises(ExpiredLink) as ended:
        LINKS.read(token, now=NOW + LIFETIME)
    assert ended.value.run == RUN


def test_no_changed_byte_and_no_cut_end_is_accepted() -> None:
    token = LINKS.token(RUN, now=NOW)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(raw)):
        changed = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        with pytest.raises(BadLink):
            LINKS.read(base64.urlsafe_b64encode(changed).decode().rstrip("="), now=NOW)
    for wrong in ("", "x", "ü" * 75, token[:-1], token + "A", token + "\n", f" {token}", "%00"):
        with pytest.raises(BadLink):
            LINKS.read(wrong, now=NOW)


def test_links_outlive_a_rotation_and_end_with_their_key() -> None:
    old = PreviewLinks(SecretKeys({"old": b"o" * 32}))
    token = old.token(RUN, now=NOW)
    assert LINKS.read(token, now=NOW).run == RUN
    with pytest.raises(BadLink):
        PreviewLinks(SecretKeys({"new": b"n" * 32})).read(token, now=NOW)
    with pytest.raises(BadLink):
        old.read(LINKS.token(RUN, now=NOW), now=NOW)


def test_keys_of_links_are_not_those_that_seal() -> None:
    assert KEYS.derive("a") != KEYS.derive("b")
    assert not {b"n" * 32, b"o" * 32} & set(KEYS.derive("a"))


def test_address_begins_where_the_service_is_reached_or_there_is_none(tmp_path: Path) -> None:
    given = {
        "YTEMPIRE_DATA_DIR": str(tmp_path),
        "YTEMPIRE_SECRET_KEYS": "k:" + "QUFB" * 10 + "QUE=",
    }
    assert preview_url(Settings.from_env(given), RUN) is None
    settings = Settings.from_env(given | {"YTEMPIRE_PUBLIC_URL": "https://v.example.com/yt/"})
    address = preview_url(settings, RUN, now=NOW)
    assert address is not None
    base, _, token = address.rpartition("/")
    assert base == "https://v.example.com/yt/preview"
    assert PreviewLinks(SecretKeys({"k": b"A" * 32})).read(token, now=NOW).run == RUN
