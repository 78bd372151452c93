"""What is a signature of a body, and what only looks like one."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from workers.signatures import BadSignature, check_secret, new_secret, sign, verify

SECRET = new_secret()
BODY = '{"topic":"Eis"}'


def signed(body: str = BODY, *, secret: str = SECRET, late: float = 0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=late)
    return sign(secret, message_id="msg_1", at=at, body=body)


def test_own_signature_verifies() -> None:
    assert verify([SECRET], headers=signed(), body=BODY.encode()) == 0


def test_former_secret_verifies_and_any_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1a,AAAA junk v1,AAAA {headers['webhook-signature']}"
    assert verify([new_secret(), SECRET], headers=headers, body=BODY.encode()) == 1


def test_time_is_told_in_utc_whatever_zone_it_is_given_in() -> None:
    at = datetime.now(UTC).astimezone(tz=None)
    assert verify([SECRET], headers=sign(SECRET, message_id="m", at=at, body=""), body=b"") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v1,!!!!"},
        {"webhook-signature": "v1,\u00e9\u00e9\u00e9\u00e9"},
        {"webhook-signature": "v2," + base64.b64encode(bytes(32)).decode()},
        {"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()},
        {"webhook-id": ""},
        {"webhook-id": "another"},
        {"webhook-id": "m\u00e9"},
        {"webhook-id": "x" * 201},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-timestamp": "1.5"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661"},
        {"webhook-timestamp": "9" * 12},
    ],
)
def test_malformed_header_is_a_bad_signature(change: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify([SECRET], headers=signed() | change, body=BODY.encode())


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_a_bad_signature(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(BadSignature):
        verify([SECRET], headers=headers, body=BODY.encode())


@pytest.mark.parametrize("late", [301, -302])
def test_signature_out_of_its_five_minutes_is_refused(late: float) -> None:
    with pytest.raises(BadSignature):
        verify([SECRET], headers=signed(late=late), body=BODY.encode())


@pytest.mark.parametrize("body", [json.dumps(json.loads(BODY)).encode(), b"", b"\xff\xfe"])
def test_any_other_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify([SECRET], headers=signed(), body=body)


def test_other_secret_or_none_is_refused() -> None:
    for secrets in ([new_secret()], []):
        with pytest.raises(BadSignature):
            verify(secrets, headers=signed(), body=BODY.encode())


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "whsec_!", "A" * 43 + "=", "\u00e9"])
def test_what_is_no_secret_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_secret(text)
    assert len(text) < 3 or text not in str(caught.value).replace("whsec_ and", "")
