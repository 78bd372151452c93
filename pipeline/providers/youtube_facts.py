"""YouTube's numbers of a video as sentences that stay true, in the template writer's languages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class _Language:
    """`months` are divided by spaces, `day` is how a date is told, `thousands` divides digits."""

    months: str
    day: str
    thousands: str
    published: str
    popular: str
    watched: str
    liked: str

    def told(self, day: date) -> str:
        return self.day.format(day=day.day, month=self.months.split()[day.month - 1], year=day.year)

    def count(self, number: int) -> str:
        return f"{number:,}".replace(",", self.thousands)


_LANGUAGES: Mapping[str, _Language] = MappingProxyType(
    {
        "en": _Language(
            "January February March April May June July August September October November December",
            "{day} {month} {year}",
            ",",
            "“{title}” was published on YouTube by {channel} on {since}.",
            "On {today} it was one of the most popular videos on YouTube.",
            "By {today} it had been watched {count} times.",
            "By {today} it had been liked {count} times.",
        ),
        "de": _Language(
            "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
            "{day}. {month} {year}",
            ".",
            "„{title}“ wurde am {since} von {channel} auf YouTube veröffentlicht.",
            "Es war am {today} eines der beliebtesten Videos auf YouTube.",
            "Bis zum {today} wurde es {count}-mal angesehen.",
            "Bis zum {today} hat es {count} positive Bewertungen bekommen.",
        ),
        "es": _Language(
            "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre"
            " diciembre",
            "{day} de {month} de {year}",
            ".",
            "«{title}» fue publicado en YouTube por {channel} el {since}.",
            "El {today} era uno de los vídeos más populares de YouTube.",
            "Hasta el {today} se había visto {count} veces.",
            "Hasta el {today} había recibido {count} «me gusta».",
        ),
        "fr": _Language(
            "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
            "{day} {month} {year}",
            " ",
            "« {title} » a été publié sur YouTube par {channel} le {since}.",
            "Le {today}, c'était l'une des vidéos les plus populaires de YouTube.",
            "Au {today}, elle avait été vue {count} fois.",
            "Au {today}, elle avait reçu {count} mentions « J'aime ».",
        ),
        "pt": _Language(
            "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro"
            " dezembro",
            "{day} de {month} de {year}",
            ".",
            "“{title}” foi publicado no YouTube por {channel} em {since}.",
            "Em {today} era um dos vídeos mais populares do YouTube.",
            "Até {today} tinha sido visto {count} vezes.",
            "Até {today} tinha recebido {count} marcações de gosto.",
        ),
    }
)


def video_facts(
    language: str,
    *,
    title: str,
    channel: str,
    since: date,
    today: date,
    views: int | None,
    likes: int | None,
) -> Iterator[str]:
    """The sentences, each true whenever it is told; none in a language that is not known."""
    told = _LANGUAGES.get(language.replace("_", "-").split("-")[0].lower())
    if told is None:
        return
    days = {"since": told.told(since), "today": told.told(today)}
    # The title is not ours: what it has of braces stays as it is.
    yield told.published.format(title=title, channel=channel, **days)
    yield told.popular.format(**days)
    for sentence, count in ((told.watched, views), (told.liked, likes)):
        if count:
            yield sentence.format(count=told.count(count), **days)
