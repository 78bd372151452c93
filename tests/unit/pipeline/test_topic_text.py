"""Topics from strangers become plain text, or are refused with a reason."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.stages.topic_text import clean_topic, normalise_topic, plain_line

ANY = st.text(st.characters(codec=None), max_size=200)


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_plain_line_is_one_storable_line_and_stays_so(text: str) -> None:
    line = plain_line(text)
    line.encode()  # no half characters
    assert not set(line) & set("\0\n\r\t\u202e\u2066\u200b\u2028\x1b")
    assert line == line.strip()
    assert plain_line(line) == line


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_normal_form_is_stable(text: str) -> None:
    assert normalise_topic(normalise_topic(text)) == normalise_topic(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Moon", " the  MOON! "),
        ("Café", "CAFE"),
        ("Straße", "STRASSE"),
        ("e\u0301tude", "étude"),
        ("Moon\u202e", "Moon"),
    ],
)
def test_spellings_of_one_topic_are_equal(one: str, other: str) -> None:
    assert normalise_topic(one) == normalise_topic(other)


def test_different_topics_differ_even_without_letters() -> None:
    assert normalise_topic("😀") != normalise_topic("🎉")
    assert normalise_topic("القمر") != normalise_topic("الشمس")


def test_emoji_joined_and_right_to_left_text_survive() -> None:
    assert plain_line("👩‍🚀 מה זה") == "👩‍🚀 מה זה"


def test_topic_of_400_characters_is_legal() -> None:
    assert clean_topic(Topic("x" * 400)).topic == "x" * 400


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"topic": ""}, "empty"),
        ({"topic": "\u202e \u200b"}, "empty"),
        ({"topic": "..."}, "empty"),
        ({"topic": "x" * 501}, "501"),
        ({"facts": ("x" * 1001,)}, "fact 1"),
        ({"facts": tuple(str(i) for i in range(51))}, "51 facts"),
        ({"source_url": "javascript:alert(1)"}, "http"),
        ({"source_url": "http://" + "x" * 1000}, "1000"),
        ({"language": "english please"}, "language"),
        ({"niche": "x" * 101}, "niche"),
    ],
)
def test_unusable_topics_are_refused_with_a_reason(changed: dict[str, object], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        clean_topic(replace(Topic("Moon"), **changed))  # type: ignore[arg-type]


def test_fields_are_cleaned_and_repeated_facts_dropped() -> None:
    topic = Topic(" a\tb ", ("x\x00y", "", "xy"), " https://e.org ", " space ", "pt_BR")
    assert clean_topic(topic) == Topic("a b", ("xy",), "https://e.org", "space", "pt-BR")
