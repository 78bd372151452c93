"""Before the film is drawn: what each scene shows, from the words that are spoken over it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipeline.domain import (
    FootageCredit,
    Narration,
    SceneFootage,
    Script,
    Section,
    SectionKind,
    VideoFormat,
)
from pipeline.footage import FootageWish
from pipeline.ports import Footage
from pipeline.stages.topic_text import plain_line

# A longer scene loops its clip; asking for more would find next to nothing.
CLIP_SECONDS = 6.0
QUERY_WORDS = 4
# Words that tell nothing about a picture, in the languages of the local writer.
_PALE_WORDS = """
a an the of in on at to for from with without and or but is are was were be been has have
had do does did its their his her our your my this that these those it they he she we you i
what why how when where who which not no yes than then so as by about into over can could
will would may more most many much very just only first last next new old same facts fact
things thing really el la los las un una unos unas de del al en con sin y o pero es son era
fue ser que por para su sus se más muy como cuando donde quien este esta estos lo le der die
das ein eine einer eines dem den des und oder aber ist sind war waren sein von vom zu zum
zur im am auf mit ohne für nicht wie warum wer wo wann sie er wir ihr sich auch als mehr
sehr les une du l et ou mais est sont était être qui quoi pour par avec sans dans sur au aux
ce cette ces sa ses il elle ils ne pas plus très comme os um uma uns umas da dos em na nos
nas com sem e são foi seu sua não muito quando onde
"""
_PALE = frozenset(_PALE_WORDS.split())


@dataclass(frozen=True, slots=True)
class Gathered:
    """Footage for each section, None where nothing was found, and each origin once."""

    scenes: tuple[SceneFootage | None, ...] = ()
    credits: tuple[FootageCredit, ...] = ()


async def gather_footage(
    script: Script,
    narration: Narration,
    *,
    footage: Footage,
    format: VideoFormat,  # noqa: A002 - the word for it everywhere
    used: Collection[str],
) -> Gathered:
    """Find something to see for each section, never the same twice and nothing of `used`.

    `used` are the keys of what was shown lately. What was found before is not fetched again, so a
    repeat is cheap and finds the same. Raises what the Footage port raises.
    """
    taken = set(used)
    scenes: list[SceneFootage | None] = []
    credits_: list[FootageCredit] = []
    for section, spoken in zip(script.sections, narration.sections, strict=True):
        queries = tuple(dict.fromkeys(_queries(script, section)))
        if not queries:
            scenes.append(None)
            continue
        wish = FootageWish(
            queries=queries,
            width=format.width,
            height=format.height,
            min_seconds=min(spoken.end - spoken.start, CLIP_SECONDS),
            language=script.language,
        )
        found = await footage.find(wish, used=taken)
        if found is None:
            scenes.append(None)
            continue
        taken.add(found.credit.key)
        scenes.append(found.scene)
        credits_.append(found.credit)
    return Gathered(tuple(scenes), tuple(credits_))


def _queries(script: Script, section: Section) -> Iterator[str]:
    """From the most telling to the safest: what the scene says about the subject, the subject."""
    subject = _telling(script.tags[0] if script.tags else "") or _telling(script.title)
    heading = _telling(section.heading)
    # The headings of beginning and end are phrases: they show nothing.
    if section.kind is SectionKind.BODY and heading:
        yield _joined(heading, subject)
    if subject:
        yield _joined(subject)


def _telling(text: str) -> list[str]:
    """The words that may be seen in a picture, in order, each once."""
    bare = (word.strip("\"'“”‘’«»()[]{}.,:;!?…¿¡-–—").lower() for word in plain_line(text).split())
    return list(dict.fromkeys(w for w in bare if len(w) > 1 and w not in _PALE and not _digits(w)))


def _digits(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _joined(*lists: list[str]) -> str:
    words = dict.fromkeys(word for words in lists for word in words)
    return " ".join(list(words)[:QUERY_WORDS])
