"""What receivers' answers mean, and when a callback is tried again."""

import random
from datetime import UTC, datetime

import pytest

from workers.callbacks.answers import (
    SCHEDULE_SECONDS,
    Delivered,
    Early,
    Failed,
    Hopeless,
    delay_after,
    delay_after_early,
    judge,
    read_retry_after,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (200, "", Delivered),
        (204, "", Delivered),
        (299, "", Delivered),
        (409, '{"code":409,"message":"The execution \\"7\\" is running already."}', Early),
        (409, '{"code":409,"message":"The execution \\"7 has finished already."}', Delivered),
        (409, '{"code":409,"message":"The execution \\"7\\" has finished with error."}', Hopeless),
        (409, "conflict", Failed),
        (404, '{"code":404,"message":"The execution \\"7\\" does not exist."}', Hopeless),
        (404, "<h1>not found</h1>", Failed),
        (401, '{"error":"Invalid token"}', Hopeless),
        (403, "Authorization data is wrong!", Hopeless),
        (410, "", Hopeless),
        (301, "", Failed),
        (302, "", Failed),
        (308, "", Failed),
        (400, "", Failed),
        (500, "", Failed),
    ],
)
def test_answer_means(status: int, text: str, kind: type) -> None:
    assert isinstance(judge(status, text), kind)


@pytest.mark.parametrize("status", [429, 502, 504])
def test_overload_holds_others_and_hears_the_wish(status: int) -> None:
    judged = judge(status, "busy", retry_after=120.0)
    assert isinstance(judged, Failed)
    assert (judged.overloaded, judged.wait) == (True, 120.0)


def test_503_hears_the_wish_and_holds_nobody() -> None:
    judged = judge(503, "", retry_after=9.0)
    assert isinstance(judged, Failed)
    assert (judged.overloaded, judged.wait) == (False, 9.0)


def test_answer_is_quoted_short_and_printable() -> None:
    judged = judge(500, "bad\x1b[31m\r\nthing " + "x" * 5000)
    assert isinstance(judged, Failed)
    assert len(judged.reason) < 300
    assert judged.reason.isprintable()


def test_schedule_is_the_one_of_standard_webhooks() -> None:
    chance = random.Random(1)
    delays = [delay_after(n, None, chance) for n in range(1, len(SCHEDULE_SECONDS) + 2)]
    assert delays[-1] is None
    for delay, planned in zip(delays, SCHEDULE_SECONDS, strict=False):
        assert delay is not None
        assert planned <= delay <= planned * 1.1
    assert SCHEDULE_SECONDS[:6] == (5, 300, 1800, 7200, 18000, 36000)
    assert 3 * 86400 < sum(SCHEDULE_SECONDS) < 4 * 86400


def test_wish_of_the_receiver_is_the_least_up_to_a_day() -> None:
    chance = random.Random(1)
    assert delay_after(1, 120.0, chance) == 120.0
    assert delay_after(1, 1e9, chance) == 86400.0
    assert (delay_after(2, 1.0, chance) or 0) >= 300


def test_early_answers_are_asked_again_within_seconds_and_for_a_day() -> None:
    delays: list[float] = []
    while (delay := delay_after_early(len(delays) + 1)) is not None:
        delays.append(delay)
    assert delays[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert max(delays[:150]) == 2.0
    assert 280 < sum(delays[:150]) < 320
    assert 86400 < sum(delays) < 87400


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 26 Nov 2026 12:01:00 GMT", 60.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1e400", None),
        ("soon", None),
        ("٣", None),
        ("", None),
        ("9" * 400, 999999999999.0),
    ],
)
def test_retry_after_is_read_or_ignored(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, now=NOW) == seconds
