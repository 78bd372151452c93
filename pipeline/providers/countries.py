"""Which country speaks which language, for feeds that are told by country."""

import re

# The first is the country that a language alone stands for.
_COUNTRIES = {
    "en": "US GB IE AU NZ CA ZA IN NG KE PH SG",
    "es": "ES MX AR CO CL PE VE EC UY PY BO CR PA GT HN NI SV DO CU PR",
    "de": "DE AT CH",
    "fr": "FR",
    "pt": "BR PT",
    "it": "IT",
    "nl": "NL",
    "pl": "PL",
    "tr": "TR",
    "ja": "JP",
    "ko": "KR",
    "id": "ID",
    "vi": "VN",
    "th": "TH",
    "uk": "UA",
    "sv": "SE",
    "da": "DK",
    "nb": "NO",
    "fi": "FI",
    "cs": "CZ",
    "hu": "HU",
    "ro": "RO",
    "el": "GR",
    "he": "IL",
    "zh": "TW HK",
    "ar": "EG SA AE",
}
_LANGUAGE_OF = {
    country: language for language, all_ in _COUNTRIES.items() for country in all_.split()
}
_REGION = re.compile(r"[A-Z]{2}")


def language_of(country: str) -> str | None:
    """The main language of a country given by its two letters; None when it is not known."""
    return _LANGUAGE_OF.get(country.upper())


def country_of(language: str) -> str | None:
    """The country of a language tag: its own (`pt-BR`), else the language's main one; None when
    neither is known."""
    primary, *rest = language.replace("_", "-").split("-")
    own = [part.upper() for part in rest if _REGION.fullmatch(part.upper())]
    main = _COUNTRIES.get(primary.lower(), "").split()
    return (own + main + [""])[0] or None
