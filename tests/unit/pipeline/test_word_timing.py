"""Word times hold whatever an engine reports and whatever the text is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Word
from pipeline.providers.word_timing import Report, Samples, audible_span, time_words

RATE = 1000


def sound(*loud: tuple[int, int], length: int = 1000) -> Samples:
    samples = np.zeros(length, dtype=np.int16)
    for begin, end in loud:
        samples[begin:end] = 9000
    return samples


def spans(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3)) for word in words]


def test_words_are_timed_where_they_are_heard() -> None:
    samples = sound((100, 300), (400, 900))
    reports = [Report(0, 90), Report(6, 380)]
    assert spans(time_words("Hello world", reports, samples, RATE)) == [
        ("Hello", 0.1, 0.3),
        ("world", 0.4, 0.9),
    ]


def test_number_of_several_spoken_words_is_one_word() -> None:
    samples = sound((0, 800))
    reports = [Report(0, 0), Report(3, 100), Report(4, 300), Report(5, 500), Report(9, 700)]
    assert spans(time_words("In 1969, x", reports, samples, RATE)) == [
        ("In", 0.0, 0.1),
        ("1969,", 0.1, 0.7),
        ("x", 0.7, 0.8),
    ]


def test_words_reported_as_one_share_its_time_by_length() -> None:
    samples = sound((0, 600), (600, 900))
    words = time_words("of the abc", [Report(0, 0), Report(7, 600)], samples, RATE)
    assert spans(words) == [("of", 0.0, 0.24), ("the", 0.24, 0.6), ("abc", 0.6, 0.9)]


def test_unspoken_words_take_a_sliver_of_their_neighbour() -> None:
    samples = sound((0, 400), (500, 900))
    words = time_words("Moon – go", [Report(0, 0), Report(7, 500)], samples, RATE)
    assert words[0].end == words[1].start
    assert words[1].end - words[1].start < 0.02
    assert words[2].start == 0.5


def test_reports_going_backwards_are_ignored() -> None:
    samples = sound((0, 900))
    reports = [Report(0, 0), Report(4, 500), Report(0, 600), Report(2, 650)]
    assert spans(time_words("a b c", reports, samples, RATE))[2][1:] == (0.5, 0.9)


def test_silence_has_no_audible_span() -> None:
    assert audible_span(sound()) == (0, 0)
    assert audible_span(sound((3, 7))) == (3, 7)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("ab1 .–😀ש中\u00a0\n-"), max_size=40),
    st.lists(st.tuples(st.integers(-2, 45), st.integers(-50, 1100)), max_size=15),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=5),
    st.integers(0, 1000),
)
def test_any_reports_give_ordered_words_within_the_sound(
    text: str, reports: list[tuple[int, int]], loud: list[tuple[int, int]], length: int
) -> None:
    samples = sound(*loud, length=1000)[:length]
    words = time_words(text, [Report(*report) for report in reports], samples, RATE)
    assert [word.text for word in words] == text.split()
    assert all(0 <= word.start <= word.end <= length / RATE for word in words)
    assert all(one.end <= other.start for one, other in itertools.pairwise(words))


@pytest.mark.parametrize("text", ["", "   "])
def test_no_words_have_no_times(text: str) -> None:
    assert time_words(text, [Report(0, 0)], sound((0, 10)), RATE) == ()
