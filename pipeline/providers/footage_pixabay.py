"""Pixabay's dialect: clips and photos, the key in the query (which no error of ours shows)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pipeline.footage import FootageWish
from pipeline.providers.fetching import web_address
from pipeline.providers.footage_stock import Candidate, Kind, Question
from pipeline.providers.footage_variants import Variant, best_variant, name_of, number

DEFAULT_URL = "https://pixabay.com"
PER_PAGE = 50
QUERY_CHARACTERS = 100
_LANGUAGES = (
    "cs da de en es fr id it hu nl no pl pt ro sk fi sv tr vi th bg ru el ja ko zh".split()  # noqa: SIM905 - a list of words reads better as words
)
_SIZES = ("large", "medium", "small", "tiny")


class Pixabay:
    """`base_url` is the host's root."""

    name = "pixabay"
    key_variable = "PIXABAY_API_KEY"
    licence = "Pixabay Content Licence"
    hosts: tuple[str, ...] = ("pixabay.com",)
    # A wrong key is a bad request there.
    key_statuses = frozenset({400, 401, 403})
    rest = timedelta(seconds=60)

    def __init__(self, key: str, base_url: str = DEFAULT_URL) -> None:
        self._key = key
        self.base_url = base_url.rstrip("/")

    def question(self, kind: Kind, query: str, wish: FootageWish) -> Question:
        """A search in the wish's language; only photos can be asked for by orientation."""
        words = query.split()
        while len(" ".join(words)) > QUERY_CHARACTERS:
            words.pop()
        params = {
            "q": " ".join(words),
            "per_page": str(PER_PAGE),
            "safesearch": "true",
        }
        language = wish.language.split("-")[0].lower()
        if language in _LANGUAGES:
            params["lang"] = language
        if kind is Kind.VIDEO:
            params["video_type"] = "film"
            return Question("/api/videos/", params, {"key": self._key}, {})
        params["image_type"] = "photo"
        params["orientation"] = "vertical" if wish.vertical else "horizontal"
        return Question("/api/", params, {"key": self._key}, {})

    def candidates(self, kind: Kind, answer: Any, wish: FootageWish) -> Sequence[Candidate]:
        """Clips by their four sizes, photos by the large one."""
        make = _clip if kind is Kind.VIDEO else _photo
        return [candidate for hit in answer["hits"] if (candidate := make(hit, wish))]


def _clip(hit: Any, wish: FootageWish) -> Candidate | None:
    sizes = hit.get("videos") or {}
    variants = [
        Variant(size.get("url"), number(size.get("width")), number(size.get("height")))
        for name in _SIZES
        if isinstance(size := sizes.get(name), dict)
    ]
    chosen = best_variant(variants, wish)
    if chosen is None or number(hit.get("id")) == 0:
        return None
    return Candidate(
        asset_id=f"video-{number(hit['id'])}",
        kind=Kind.VIDEO,
        url=chosen.url,
        width=chosen.width,
        height=chosen.height,
        seconds=float(number(hit.get("duration"))),
        page_url=web_address(hit.get("pageURL")),
        author=name_of(hit.get("user")),
    )


def _photo(hit: Any, wish: FootageWish) -> Candidate | None:
    link = web_address(hit.get("largeImageURL"))
    if link is None or number(hit.get("id")) == 0:
        return None
    return Candidate(
        asset_id=f"photo-{number(hit['id'])}",
        kind=Kind.PHOTO,
        url=link,
        width=number(hit.get("imageWidth")),
        height=number(hit.get("imageHeight")),
        seconds=0.0,
        page_url=web_address(hit.get("pageURL")),
        author=name_of(hit.get("user")),
    )
