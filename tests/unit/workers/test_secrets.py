"""Envelopes open in their own place only, and never after a change."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import Waiting
from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings, SettingsError

CANARY = "canary-1//refresh-token"
PLACE = {"table": "youtube_accounts", "row": "row-1", "column": "credentials"}
ONE = base64.b64encode(b"1" * 32).decode()
TWO = base64.b64encode(b"2" * 32).decode()


def keys(text: str = f"one:{ONE}") -> SecretKeys:
    return SecretKeys.parse(text, source="test")


def test_sealed_text_is_opened_in_its_own_place_only() -> None:
    envelope = keys().seal(CANARY, **PLACE)
    assert CANARY not in str(envelope)
    assert keys().open(envelope, **PLACE) == CANARY
    for name in PLACE:
        with pytest.raises(Waiting, match="another row"):
            keys().open(envelope, **{**PLACE, name: "other"})


def test_every_flipped_byte_is_noticed() -> None:
    envelope = keys().seal(CANARY, **PLACE)
    for part in ("dek", "data"):
        sealed = base64.b64decode(envelope[part])
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1
            with pytest.raises(Waiting):
                keys().open({**envelope, part: base64.b64encode(changed).decode()}, **PLACE)


@pytest.mark.parametrize("broken", [{}, {"key": "one"}, {"key": "one", "dek": 3, "data": None}])
def test_something_else_than_an_envelope_waits_for_a_person(broken: dict[str, object]) -> None:
    with pytest.raises(Waiting):
        keys().open(broken, **PLACE)


def test_old_keys_open_and_the_first_seals() -> None:
    old = keys().seal(CANARY, **PLACE)
    rotated = keys(f"two:{TWO},one:{ONE}")
    assert rotated.open(old, **PLACE) == CANARY
    assert rotated.seal(CANARY, **PLACE)["key"] == "two"
    with pytest.raises(Waiting, match="YTEMPIRE_SECRET_KEYS"):
        keys(f"two:{TWO}").open(old, **PLACE)


def test_same_text_is_never_sealed_alike() -> None:
    assert keys().seal(CANARY, **PLACE) != keys().seal(CANARY, **PLACE)


@pytest.mark.parametrize(
    "text",
    ["", "one", "one:", f":{ONE}", "one:short", f"one:{ONE},one:{TWO}", "one:####", f"a b:{ONE}"],
)
def test_malformed_keys_are_refused_without_being_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"YTEMPIRE_SECRET_KEYS: entry \d") as caught:
        SecretKeys.parse(text, source="YTEMPIRE_SECRET_KEYS")
    assert ONE not in str(caught.value)
    assert ONE not in repr(keys())


def test_key_file_is_made_once_for_all_and_for_the_owner_only(tmp_path: Path) -> None:
    settings = Settings.from_env({"YTEMPIRE_DATA_DIR": str(tmp_path / "data")})
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: secret_keys(settings), range(16)))
    envelope = made[0].seal(CANARY, **PLACE)
    assert {each.open(envelope, **PLACE) for each in made} == {CANARY}
    (file,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_youtube_on_a_shared_database_needs_keys_by_name(tmp_path: Path) -> None:
    given = {
        "YTEMPIRE_DATA_DIR": str(tmp_path),
        "DATABASE_URL": "postgresql://x",
        "YTEMPIRE_HOST_PROVIDER": "youtube",
    }
    with pytest.raises(SettingsError, match="YTEMPIRE_SECRET_KEYS"):
        secret_keys(Settings.from_env(given))
    settings = Settings.from_env({**given, "YTEMPIRE_SECRET_KEYS": f"one:{ONE}"})
    assert secret_keys(settings).current == "one"
    assert ONE not in repr(settings)
    assert list(tmp_path.iterdir()) == []
