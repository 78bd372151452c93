import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.render import bidi
from pipeline.render.fonts import FALLBACKS, TITLE_FACES, face_for
from pipeline.render.text import clean, clusters, unsupported
from pipeline.render.typography import fit, mask, words_of

SAMPLES = {
    "latin": "Ägypten naïve Đà Nẵng",
    "cyrillic": "Привет",
    "greek": "Ελλάδα",
    "arabic": "مرحبا بالعالم",
    "hebrew": "שלום עולם",
    "devanagari": "नमस्ते दुनिया",
    "thai": "สวัสดีชาวโลก",
    "chinese": "人类登月",
    "japanese": "これはテストです",
    "korean": "한국어 문장",
    "emoji": "🚀 👩‍🚀 ❤️",
}


@pytest.mark.parametrize("face", TITLE_FACES)
@pytest.mark.parametrize("script", SAMPLES)
def test_every_script_is_drawn_without_missing_glyphs(face: str, script: str) -> None:
    text = SAMPLES[script]
    assert clean(text) == text
    block = fit(words_of(text), face, largest=40, smallest=40, width=2000, max_lines=1)
    (line,) = block.lines
    assert all(glyph.gid != 0 for glyph in line.glyphs)
    assert [box.word for box in sorted(line.boxes, key=lambda b: b.word)] == list(
        range(len(text.split()))
    )
    for box in line.boxes:
        ink = mask(line, block.type, (box.word,))
        assert ink.coverage.max() > 0.9
        assert box.left - 8 <= ink.left <= ink.left + ink.coverage.shape[1] <= box.right + 8


def test_arabic_letters_join() -> None:
    joined = fit(("بب",), FALLBACKS[0], largest=40, smallest=40, width=500, max_lines=1)
    apart = fit(("ب", "ب"), FALLBACKS[0], largest=40, smallest=40, width=500, max_lines=1)
    # The dots are glyphs of their own and shared; initial and final forms are not isolated ones.
    forms = {g.gid for g in joined.lines[0].glyphs} - {g.gid for g in apart.lines[0].glyphs}
    assert len(forms) == 2


def test_right_to_left_words_stand_from_right_to_left() -> None:
    block = fit(
        words_of("שלום עולם hello 42"),
        FALLBACKS[0],
        largest=40,
        smallest=40,
        width=900,
        max_lines=1,
    )
    left = {box.word: box.left for box in block.lines[0].boxes}
    assert left[0] > left[1] > left[2] > left[3] or left[0] > left[1] > left[3] > left[2]
    assert left[3] > left[2]  # "hello 42" is one left-to-right run: digits follow it


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("abc", 0, [0, 0, 0]),
        ("abא", 0, [0, 0, 1]),
        ("אב 12", 1, [1, 1, 1, 2, 2]),
        ("א (ב)", 1, [1, 1, 1, 1, 1]),
        ("a 1-2", 0, [0, 0, 0, 0, 0]),
        ("ع 50%", 1, [1, 1, 2, 2, 1]),
    ],
)
def test_levels_follow_the_bidirectional_algorithm(
    text: str, base: int, expected: list[int]
) -> None:
    assert bidi.levels(text, base) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_visual_order_is_a_permutation(levels: list[int]) -> None:
    assert sorted(bidi.visual_order(levels)) == list(range(len(levels)))


@settings(deadline=None)
@given(st.text(max_size=400), st.sampled_from([300.0, 900.0]), st.integers(1, 5))
def test_no_text_overflows_its_box(text: str, width: float, max_lines: int) -> None:
    words = words_of(text)
    block = fit(words, TITLE_FACES[0], largest=60, smallest=24, width=width, max_lines=max_lines)
    assert len(block.lines) <= max_lines
    assert block.width <= width + 0.01


def test_a_title_that_is_too_long_ends_in_an_ellipsis() -> None:
    words = words_of("many words " * 40)
    block = fit(words, TITLE_FACES[0], largest=90, smallest=40, width=900, max_lines=3)
    full = fit(("…",), TITLE_FACES[0], largest=40, smallest=40, width=900, max_lines=1)
    assert len(block.lines) == 3
    assert block.lines[-1].glyphs[-1].gid == full.lines[0].glyphs[0].gid


def test_lines_are_balanced() -> None:
    block = fit(
        words_of("Why the Moon is slowly leaving us"),
        TITLE_FACES[0],
        largest=60,
        smallest=60,
        width=900,
        max_lines=3,
    )
    widths = [line.width for line in block.lines]
    assert len(widths) == 2
    assert min(widths) > 0.6 * max(widths)


def test_control_and_formatting_characters_are_dropped() -> None:
    assert clean("a\x00b\u202ec\u2066 \x07 d\u200be\n f") == "abc de f"


def test_joiners_that_shape_their_neighbours_stay() -> None:
    assert clean("👩‍🚀 می‌خواهم") == "👩‍🚀 می‌خواهم"


def test_letters_without_a_face_are_named() -> None:
    assert unsupported("aᏣbᏣ") == "Ꮳ"
    assert face_for("Ꮳ", FALLBACKS[0]) is None


def test_clusters_are_what_a_reader_counts() -> None:
    assert clusters("e\u0301👩‍🚀🇩🇪x") == ["e\u0301", "👩‍🚀", "🇩🇪", "x"]


@pytest.mark.parametrize("face", TITLE_FACES)
def test_a_word_is_made_smaller_rather_than_cut(face: str) -> None:
    block = fit(words_of("Octopuses"), face, largest=400, smallest=10, width=900, max_lines=3)
    assert len(block.lines) == 1
    assert 10 < block.type.size < 400


def test_a_word_wider_than_the_smallest_type_allows_is_cut() -> None:
    block = fit(words_of("o" * 80), TITLE_FACES[0], largest=40, smallest=20, width=600, max_lines=3)
    assert len(block.lines) > 1
    assert block.width <= 600
