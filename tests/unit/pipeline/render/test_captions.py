import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Word
from pipeline.render import captions

texts = st.lists(
    st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=14),
    min_size=1,
    max_size=40,
)


def timed(words: list[str], pause: float = 0.0) -> list[Word]:
    return [Word(w, i * (0.3 + pause), i * (0.3 + pause) + 0.25) for i, w in enumerate(words)]


@settings(deadline=None)
@given(texts)
def test_cues_hold_exactly_the_spoken_words_in_order(words: list[str]) -> None:
    cues = captions.group(timed(words))
    assert [word.text for cue in cues for word in cue.words] == words
    assert all(1 <= len(cue.words) <= 6 for cue in cues)


@settings(deadline=None)
@given(texts)
def test_cues_follow_each_other_without_overlap(words: list[str]) -> None:
    cues = captions.group(timed(words, pause=0.2))
    assert all(cue.start < cue.end for cue in cues)
    assert all(a.end <= b.start for a, b in itertools.pairwise(cues))


@settings(deadline=None)
@given(texts)
def test_subrip_text_is_the_spoken_text(words: list[str]) -> None:
    srt = captions.subrip(captions.group(timed(words)))
    shown = [line for block in srt.split("\n\n") for line in block.strip("\n").split("\n")[2:]]
    assert " ".join(shown).split(" ") == words


def test_cue_ends_with_the_sentence_and_avoids_lonely_words() -> None:
    words = [
        "Laser",
        "pulses",
        "bounced",
        "off",
        "mirrors",
        "left",
        "by",
        "Apollo",
        "show",
        "it.",
        "The",
        "Moon",
        "recedes.",
    ]
    cues = [cue.text for cue in captions.group(timed(words))]
    assert cues[-1] == "The Moon recedes."
    assert all(len(cue.split()) >= 3 for cue in cues)


def test_cue_does_not_span_a_pause() -> None:
    words = [Word("one", 0, 0.4), Word("two", 0.5, 0.9), Word("three", 2.0, 2.4)]
    assert [cue.text for cue in captions.group(words)] == ["one two", "three"]


def test_cue_stays_until_the_next_one_that_follows_soon() -> None:
    first, second = captions.group([Word("Yes.", 0, 0.4), Word("No.", 0.7, 1.0)])
    assert (first.end, second.end) == (0.7, 1.0)


def test_webvtt_escapes_markup_and_subrip_counts() -> None:
    cues = captions.group([Word("<b>&", 0.0, 0.5), Word("-->", 0.5, 1.0)])
    vtt = captions.webvtt(cues)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
    assert "&lt;b&gt;&amp; --&gt;" in vtt
    assert re.match(r"1\n00:00:00,000 --> 00:00:01,000\n<b>& -->\n", captions.subrip(cues))


def test_stamps_pass_the_hour() -> None:
    cue = captions.Cue((Word("late", 3661.5, 3662.0),), 3661.5, 3662.0)
    assert "01:01:01,500 --> 01:01:02,000" in captions.subrip([cue])


def test_control_characters_are_not_written_to_caption_files() -> None:
    cue = captions.Cue((Word("a\x07b\x00c", 0.0, 1.0),), 0.0, 1.0)
    assert "\nabc\n" in captions.subrip([cue])
    assert "\nabc\n" in captions.webvtt([cue])
