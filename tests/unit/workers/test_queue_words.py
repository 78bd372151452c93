"""The queue's small pure parts: outcomes, priorities, texts, durations."""

from datetime import UTC, datetime, timedelta

import pytest
from procrastinate import exceptions

from workers.cli.durations import parse_duration, parse_moment
from workers.cli.output import CommandError
from workers.cli.queue_session import ago, brief
from workers.queue.outcomes import Fail, Finish, Retry, Snooze, ending_arguments, storable
from workers.queue.translation import name_of, placeholders, to_column_priority

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_finish_and_fail_say_how_it_ended():
    assert ending_arguments(Finish())["outcome"] == "completed"
    failed = ending_arguments(Fail(error="no", error_class="E"))
    assert (failed["outcome"], failed["error"], failed["error_class"]) == ("failed", "no", "E")


def test_a_delay_is_left_to_the_databases_clock():
    arguments = ending_arguments(Retry(at=timedelta(minutes=2), error="e"))
    assert (arguments["at"], arguments["delay"]) == (None, 120.0)


def test_a_moment_stays_the_moment():
    arguments = ending_arguments(Snooze(until=NOW, error="e"))
    assert (arguments["outcome"], arguments["at"]) == ("snooze", NOW)


def test_a_naive_moment_is_refused():
    with pytest.raises(ValueError, match="aware"):
        ending_arguments(Retry(at=NOW.replace(tzinfo=None), error="e"))


@pytest.mark.parametrize(
    ("text", "stored"),
    [("a\x00b", "a\\x00b"), ("\ud800", "\\ud800"), ("ü🎬", "ü🎬"), ("x" * 10_000, "x" * 10_000)],
)
def test_any_error_text_can_be_stored(text, stored):
    assert storable(text) == stored


def test_a_long_error_text_is_shortened_and_says_so():
    assert len(storable("x" * 20_000)) == 10_000
    assert storable("x" * 20_000).endswith("... (shortened)")


@pytest.mark.parametrize(
    ("theirs", "ours"), [(0, 5), (4, 1), (-5, 10), (100, 1), (-100, 10), (2**80, 1)]
)
def test_priorities_are_mirrored_and_clamped(theirs, ours):
    assert to_column_priority(theirs) == ours


def test_placeholders_of_a_query_are_found():
    assert placeholders("SELECT f(%(a)s, %(b_c)s::int[]) {channel}") == {"a", "b_c", "channel"}


def test_foreign_sql_is_refused():
    with pytest.raises(exceptions.ConnectorException, match="CREATE TABLE"):
        name_of("CREATE TABLE t ()\nmore")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), ("250ms", 0.25), ("1.5h", 5400)],
)
def test_durations_read_as_people_write_them(text, seconds):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-5m", "5m?", "5 m", "1e3s", "99999w"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"duration|ten years"):
        parse_duration(text)


def test_moments_are_absolute_or_from_now():
    assert parse_moment("+1h", now=NOW) == NOW + timedelta(hours=1)
    assert parse_moment("2026-01-01T01:00:00+01:00", now=NOW) == NOW
    assert parse_moment("2026-01-01T00:00:00", now=NOW) == NOW
    with pytest.raises(CommandError):
        parse_moment("soon", now=NOW)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (150, "2m"), (3700, "1h 1m"), (90000, "1d 1h")]
)
def test_durations_are_told_briefly(seconds, text):
    assert brief(seconds) == text
    assert ago(NOW + timedelta(seconds=seconds), NOW) == f"in {text}"
    assert ago(NOW - timedelta(seconds=seconds), NOW) == f"{text} ago"
    assert ago(None, NOW) == ""
