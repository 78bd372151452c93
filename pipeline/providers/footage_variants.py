"""Choosing among the sizes in which a library offers an asset; reading its hostile numbers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.footage import FootageWish
from pipeline.providers.fetching import web_address, whole_number
from pipeline.stages.topic_text import plain_line

LARGEST_SIDE = 4096
LARGEST_PIXELS = 4096 * 2304
AUTHOR_CHARACTERS = 100


class Variant(NamedTuple):
    """One size of an asset."""

    url: Any
    width: int
    height: int


class Chosen(NamedTuple):
    """The size to fetch."""

    url: str
    width: int
    height: int


def best_variant(variants: Iterable[Variant], wish: FootageWish) -> Chosen | None:
    """The smallest that fills the frame, else the largest there is; None when none is usable."""
    usable = [
        Chosen(url, variant.width, variant.height)
        for variant in variants
        if (url := web_address(variant.url)) is not None
        and 0 < variant.width <= LARGEST_SIDE
        and 0 < variant.height <= LARGEST_SIDE
        and variant.width * variant.height <= LARGEST_PIXELS
    ]
    filling = [v for v in usable if v.width >= wish.width and v.height >= wish.height]
    if filling:
        return min(filling, key=lambda v: v.width * v.height)
    return max(usable, key=lambda v: v.width * v.height, default=None)


def number(value: Any) -> int:
    """A count as JSON holds it, 0 for anything else."""
    return whole_number(value) or 0


def name_of(value: Any) -> str | None:
    """A person's name in plain text of bounded length; None when there is none."""
    return plain_line(value)[:AUTHOR_CHARACTERS] or None if isinstance(value, str) else None
