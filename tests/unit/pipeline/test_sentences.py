"""Cutting text never changes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.providers.headings import LONGEST_HEADING_WORDS, heading, stands_alone
from pipeline.providers.sentences import SPEAKABLE_WORDS, sentences, speakable
from pipeline.providers.writer_phrases import PHRASES

WORDS = st.lists(
    st.sampled_from(
        ["Moon", "3.8", "and", "because", "it,", "far;", "Dr.", "–", "e.g.", "end.", "(x", "y)"]
    ),
    min_size=1,
    max_size=90,
).map(" ".join)
SMALL = PHRASES["en"].small


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One is here. Two is there! Three?", ["One is here.", "Two is there!", "Three?"]),
        ("It measures 3.8 cm. Dr. No saw it.", ["It measures 3.8 cm.", "Dr. No saw it."]),
        ("J. R. R. Tolkien wrote it. It sold.", ["J. R. R. Tolkien wrote it.", "It sold."]),
        ("In the U.S. many do. So what?", ["In the U.S. many do.", "So what?"]),
        ("About approx. half of it.", ["About approx. half of it."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("月は遠い。地球は近い。", ["月は遠い。", "地球は近い。"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_cutting_keeps_every_word_in_order(text: str) -> None:
    pieces = [piece for sentence in sentences(text) for piece in speakable(sentence)]
    dashes = {"–"}  # a dash between two pieces is what the pause stands for
    assert [w for p in pieces for w in p.split() if w not in dashes] == [
        w for w in text.split() if w not in dashes
    ]


def test_long_sentence_is_cut_where_a_speaker_breathes() -> None:
    text = (
        "The tower was finished in 1889 for the great fair in the city of Paris, and it was meant"
        " to stand for only twenty years, but its value for radio saved it in the end."
    )
    pieces = speakable(text)
    assert all(len(piece.split()) <= SPEAKABLE_WORDS for piece in pieces)
    assert pieces[1].startswith(("and it was meant", "but its value"))


def test_sentence_without_a_place_to_breathe_stays_whole() -> None:
    text = " ".join(["word"] * 40)
    assert speakable(text) == [text]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("It is about 384,400 kilometres away, enough room.", "384,400 kilometres"),
        ("Alexander Bain received a British patent for it in 1843.", "Alexander Bain"),
        ("Its blood is blue, because it carries oxygen with copper.", "Oxygen with copper"),
        ("The same side of the Moon always faces Earth.", "Same side"),
    ],
)
def test_headings_name_what_the_fact_is_about(fact: str, expected: str) -> None:
    assert heading(fact, SMALL, ["The Moon"]) == expected


@settings(max_examples=100, deadline=None)
@given(WORDS, st.lists(WORDS, max_size=3))
def test_headings_are_short_and_from_the_fact(fact: str, taken: list[str]) -> None:
    found = heading(fact, SMALL, taken).split()
    assert len(found) <= LONGEST_HEADING_WORDS
    assert all(word.casefold() in fact.casefold() for word in found)


def test_fact_that_points_back_does_not_stand_alone() -> None:
    pointing = PHRASES["en"].pointing
    assert stands_alone("An octopus has three hearts.", pointing)
    assert not stands_alone("Twelve people have walked on it.", pointing)
    assert not stands_alone("The telephone was patented 33 years later.", pointing)
