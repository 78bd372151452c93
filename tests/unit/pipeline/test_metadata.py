"""YouTube's limits, and texts of any kind made to keep to them."""

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import FootageCredit
from pipeline.errors import Rejected
from pipeline.stages.metadata import (
    check_description,
    check_metadata,
    check_tags,
    check_title,
    clip_description,
    clip_title,
    credited,
    fit_tags,
    marked,
    tags_length,
    units,
)

ANY = st.text(st.characters(codec=None), max_size=700)


@pytest.mark.parametrize("title", ["x" * 100, "😀" * 50, "The Moon"])
def test_titles_within_the_limit_pass(title: str) -> None:
    check_title(title)


@pytest.mark.parametrize("title", ["", " ", "x" * 101, "😀" * 51, "a<b", "a>b", "a\nb", "\u202eb"])
def test_titles_that_youtube_refuses_are_rejected(title: str) -> None:
    with pytest.raises(Rejected):
        check_title(title)


def test_descriptions_count_bytes() -> None:
    check_description("ä" * 2500)
    with pytest.raises(Rejected, match="5002"):
        check_description("ä" * 2501)


def test_tags_count_commas_and_quotation_marks_as_youtube_does() -> None:
    assert tags_length(["Foo Baz"]) == 9
    assert tags_length(["a", "bc", "d e"]) == 1 + 1 + 2 + 1 + 5
    check_tags(["x" * 249, "y" * 250])
    with pytest.raises(Rejected, match="501"):
        check_tags(["x" * 250, "y" * 250])


def test_long_title_is_cut_at_a_word() -> None:
    title = clip_title("wonder " * 60)
    assert title.endswith("wonder…")
    assert 93 <= len(title) <= 100


def test_joined_emoji_is_never_cut_in_two() -> None:
    family = "👩‍👩‍👧"
    assert clip_title(family * 30).removesuffix("…").replace(family, "") == ""


@settings(max_examples=150, deadline=None)
@given(ANY, ANY, st.lists(ANY, max_size=40))
def test_anything_clipped_is_accepted_beside_a_marker(
    title: str, description: str, tags: list[str]
) -> None:
    clipped = clip_title(title) or "Untitled"
    body, with_marker = marked(clip_description(description), fit_tags(tags), "yte-" + "a" * 32)
    check_metadata(clipped, body, with_marker)
    assert body.endswith("yte-" + "a" * 32)
    assert with_marker[-1] == "yte-" + "a" * 32
    assert units(clipped) <= 100


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=100)
)
def test_short_titles_are_left_as_they_are(title: str) -> None:
    plain = unicodedata.normalize("NFC", title.replace("<", "‹").replace(">", "›"))
    if units(plain) <= 100 and "\u2028" not in plain:
        assert clip_title(title) == plain


def test_marker_stays_when_the_description_is_full() -> None:
    body, tags = marked("x" * 5000, ["y" * 499], "yte-1")
    assert body == "yte-1"
    assert tags == ("yte-1",)
    with pytest.raises(ValueError, match="marker"):
        marked("x", [], "not one")


def credit(number: int = 7, **changed: str | None) -> FootageCredit:
    known: dict[str, str | None] = {
        "page_url": f"https://www.pexels.com/video/{number}/",
        "author": "Jo <Reef>",
        "licence": "Pexels licence",
    } | changed
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return FootageCredit(
        "pexels", f"video-{number}", known["page_url"], known["author"], known["licence"], at
    )


def test_footage_is_credited_once_below_the_description() -> None:
    told = credited("About the Moon.", [credit(), credit(8), credit()], "de-AT")
    assert told.split("\n") == [
        "About the Moon.",
        "",
        "Bildmaterial:",
        "Jo ‹Reef›, Pexels: https://www.pexels.com/video/7/ (Pexels licence)",
        "Jo ‹Reef›, Pexels: https://www.pexels.com/video/8/ (Pexels licence)",
    ]
    check_description(told)


def test_footage_of_unknown_origin_changes_nothing() -> None:
    unknown = credit(page_url=None, author=None, licence=None)
    assert credited("About the Moon.", [unknown], "en") == "About the Moon."
    assert credited("", [credit(author=None, licence=None)], "xx") == (
        "Footage:\nPexels: https://www.pexels.com/video/7/"
    )


@given(st.text(max_size=6_000), st.integers(0, 60), ANY)
def test_credits_survive_beside_any_description_and_marker(
    description: str, count: int, author: str
) -> None:
    told = credited(description, [credit(n, author=author) for n in range(count)], "en")
    described, _ = marked(told, (), "yte-0123456789")
    check_description(described)
    if count:
        assert "https://www.pexels.com/video/0/" in described or len(author) > 200
