"""Pexels' dialect: clips and photos, the key in a header of its own."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pipeline.footage import FootageWish
from pipeline.providers.fetching import web_address
from pipeline.providers.footage_stock import Candidate, Kind, Question
from pipeline.providers.footage_variants import Variant, best_variant, name_of, number

DEFAULT_URL = "https://api.pexels.com"
PER_PAGE = 40
_LOCALES = {
    "en": "en-US", "pt": "pt-BR", "es": "es-ES", "de": "de-DE", "fr": "fr-FR", "it": "it-IT",
    "nl": "nl-NL", "pl": "pl-PL", "ja": "ja-JP", "ko": "ko-KR", "tr": "tr-TR", "ru": "ru-RU",
    "sv": "sv-SE", "da": "da-DK", "nb": "nb-NO", "fi": "fi-FI", "cs": "cs-CZ", "hu": "hu-HU",
    "ro": "ro-RO", "el": "el-GR", "id": "id-ID", "th": "th-TH", "vi": "vi-VN", "uk": "uk-UA",
    "zh": "zh-CN",
}  # fmt: skip


class Pexels:
    """`base_url` is the host's root."""

    name = "pexels"
    key_variable = "PEXELS_API_KEY"
    licence = "Pexels licence"
    hosts: tuple[str, ...] = ("pexels.com", "vimeo.com", "vimeocdn.com")
    key_statuses = frozenset({401, 403})
    # 200 requests an hour; a refusal does not say when the hour is over.
    rest = timedelta(minutes=15)

    def __init__(self, key: str, base_url: str = DEFAULT_URL) -> None:
        self._key = key
        self.base_url = base_url.rstrip("/")

    def question(self, kind: Kind, query: str, wish: FootageWish) -> Question:
        """A search in the wish's language and orientation."""
        params = {
            "query": query,
            "orientation": "portrait" if wish.vertical else "landscape",
            "per_page": str(PER_PAGE),
        }
        locale = _LOCALES.get(wish.language.split("-")[0].lower())
        if locale is not None:
            params["locale"] = locale
        path = "/v1/videos/search" if kind is Kind.VIDEO else "/v1/search"
        return Question(path, params, {}, {"Authorization": self._key})

    def candidates(self, kind: Kind, answer: Any, wish: FootageWish) -> Sequence[Candidate]:
        """Clips by their files, photos by their sizes."""
        if kind is Kind.VIDEO:
            found = [_clip(video, wish) for video in answer["videos"]]
        else:
            found = [_photo(photo) for photo in answer["photos"]]
        return [candidate for candidate in found if candidate]


def _clip(video: Any, wish: FootageWish) -> Candidate | None:
    variants = [
        Variant(file.get("link"), number(file.get("width")), number(file.get("height")))
        for file in video.get("video_files") or ()
        if file.get("file_type", "video/mp4") == "video/mp4"
    ]
    chosen = best_variant(variants, wish)
    if chosen is None or number(video.get("id")) == 0:
        return None
    return Candidate(
        asset_id=f"video-{number(video['id'])}",
        kind=Kind.VIDEO,
        url=chosen.url,
        width=chosen.width,
        height=chosen.height,
        seconds=float(number(video.get("duration"))),
        page_url=web_address(video.get("url")),
        author=name_of((video.get("user") or {}).get("name")),
    )


def _photo(photo: Any) -> Candidate | None:
    link = web_address((photo.get("src") or {}).get("large2x"))
    if link is None or number(photo.get("id")) == 0:
        return None
    return Candidate(
        asset_id=f"photo-{number(photo['id'])}",
        kind=Kind.PHOTO,
        url=link,
        width=number(photo.get("width")),
        height=number(photo.get("height")),
        seconds=0.0,
        page_url=web_address(photo.get("url")),
        author=name_of(photo.get("photographer")),
    )
