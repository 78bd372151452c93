"""From an error to what the queue does about it."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Deferred, Rejected, Transient, Waiting
from workers.retry import BACKOFF_CAP_SECONDS, Again, Decision, Ended, Held, Later, decide

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def decided(
    error: Exception, *, finished: int = 0, most: int | None = 3, seed: int = 1
) -> Decision:
    return decide(
        error,
        finished_attempts=finished,
        max_attempts=most,
        chance=random.Random(seed),
    )


def test_rejected_ends_the_run_at_once() -> None:
    assert decided(Rejected("no such voice")) == Ended("no such voice")


def test_waiting_holds_the_run_for_a_person() -> None:
    assert decided(Waiting("approve it")) == Held("approve it")


def test_deferred_goes_on_at_its_moment_and_costs_no_attempt() -> None:
    until = NOW + timedelta(hours=5)
    assert decided(Deferred("quota", until=until), finished=2) == Later(until, "quota")


def test_transient_ends_the_run_with_its_last_attempt() -> None:
    assert isinstance(decided(Transient("busy"), finished=1), Again)
    assert decided(Transient("busy"), finished=2) == Ended("busy (given up after 3 attempts)")


def test_transient_without_a_limit_never_ends_the_run() -> None:
    assert isinstance(decided(Transient("busy"), finished=1000, most=None), Again)


def test_bug_is_retried_and_named_by_its_class() -> None:
    again = decided(KeyError("title"))
    assert isinstance(again, Again)
    assert again.error == "KeyError: 'title'"


@given(st.integers(0, 60), st.integers(0, 2**32), st.floats(0, 3600))
def test_backoff_is_bounded_and_honours_the_stated_delay(
    finished: int, seed: int, retry_after: float
) -> None:
    error = Transient("busy", retry_after=retry_after)
    again = decided(error, finished=finished, most=None, seed=seed)
    assert isinstance(again, Again)
    least = timedelta(seconds=retry_after)
    assert least <= again.delay <= least + timedelta(seconds=BACKOFF_CAP_SECONDS)
