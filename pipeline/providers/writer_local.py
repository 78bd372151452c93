"""Scripts without a vendor: the topic's own facts, in an order and a tone a person can listen to.

The writer adds nothing: every statement is a fact of the topic in its own words, and what stands
between them states nothing. The same topic on the same channel always gives the same script; other
topics and other channels get other turns of phrase.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.domain import Channel, Charge, Paid, Script, Section, SectionKind, Sentence, Topic
from pipeline.errors import Rejected
from pipeline.providers.headings import heading, stands_alone, strength
from pipeline.providers.sentences import sentences, speakable
from pipeline.providers.writer_phrases import PHRASES, Phrases
from pipeline.stages.metadata import clip_description, clip_title, fit_tags

MOST_FACTS = 7
MOST_WORDS = 150
SPOKEN_TOPIC_WORDS = 7
SPOKEN_TOPIC_CHARACTERS = 60
THUMBNAIL_WORDS = 5
FIRST_FACT_BONUS = 0.7  # whoever wrote the facts put the best one first, more often than not
_TERMINAL = ".!?…。！？"


@dataclass(frozen=True, slots=True)
class _Fact:
    """A fact chosen to be told: its index in the topic, and its sentences as spoken."""

    index: int
    spoken: tuple[str, ...]
    heading: str


class _Choice:
    """Chance that is none: a choice for a name is settled by topic and channel."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def of(self, options: Sequence[str], name: str, turn: int = 0) -> str:
        """One of the options; later turns go through the others before one comes again."""
        start = hashlib.sha256(f"{self._seed}|{name}".encode("utf-8", "replace")).digest()
        return options[(int.from_bytes(start[:8]) + turn) % len(options)]


class TemplateWriter:
    """A script writer over templates in English, Spanish, German, French and Portuguese."""

    async def write(
        self, topic: Topic, channel: Channel, *, notes: Sequence[str] = ()
    ) -> Paid[Script]:
        """Write the script, phrased anew for each of the notes, which are not understood;
        `Rejected` without facts or in a language without templates."""
        phrases = _phrases(topic.language)
        if not any(_spoken(fact) for fact in topic.facts):
            raise Rejected(
                f"the topic {topic.topic[:80]!r} has no facts, and the local writer states nothing"
                " that it cannot ground: give it facts (the facts column of the topics file, or"
                " --facts), or choose another writer with YTEMPIRE_SCRIPT_PROVIDER"
            )
        choice = _Choice("|".join([topic.topic, str(channel.id), *notes]))
        facts = _chosen(topic.topic, topic.facts, phrases)
        script = Script(
            title=_title(topic, len(facts), phrases, choice),
            description=_description(topic, channel, facts, phrases),
            tags=fit_tags(
                [topic.topic, *([topic.niche] if topic.niche else []), channel.name]
                + [fact.heading for fact in facts]
            ),
            thumbnail_text=_thumbnail(topic, facts, phrases),
            language=topic.language,
            sections=_sections(topic, facts, phrases, choice),
        )
        words = sum(len(section.text.split()) for section in script.sections)
        charge = Charge(
            service="template",
            operation="script.write",
            amount=Decimal(0),
            units=Decimal(words),
            unit_type="words",
            rate=Decimal(0),
        )
        return Paid(script, (charge,))


def _phrases(language: str) -> Phrases:
    phrases = PHRASES.get(language.replace("_", "-").split("-")[0].lower())
    if phrases is None:
        raise Rejected(
            f"the local writer has no templates for language {language!r}; it writes"
            f" {', '.join(sorted(PHRASES))}"
        )
    return phrases


def _chosen(topic: str, facts: Sequence[str], phrases: Phrases) -> list[_Fact]:
    """The facts to tell, the strongest first, the others in their order, up to a minute's worth."""
    usable = [(index, text) for index, fact in enumerate(facts) if (text := _spoken(fact))]
    ranked = sorted(usable, key=lambda f: (-strength(f[1], phrases.small), f[0]))
    kept: set[int] = set()
    words = 0
    for index, text in ranked:
        length = len(text.split())
        if len(kept) < MOST_FACTS and (not kept or words + length <= MOST_WORDS):
            kept.add(index)
            words += length
    first = _first([fact for fact in usable if fact[0] in kept], phrases)
    ordered = [first, *(index for index, _ in usable if index in kept and index != first)]
    texts = dict(usable)
    chosen: list[_Fact] = []
    for index in ordered:
        parts = [part for s in sentences(texts[index]) for part in speakable(s)]
        taken = [topic, *(fact.heading for fact in chosen)]
        chosen.append(
            _Fact(
                index,
                tuple(_sentence(part) for part in parts),
                heading(texts[index], phrases.small, taken),
            )
        )
    return chosen


def _first(facts: Sequence[tuple[int, str]], phrases: Phrases) -> int:
    """The index of the strongest fact that can be moved to the front without being misunderstood:
    it points at nothing before it, and the fact after it does not point at it."""
    best, most = facts[0][0], strength(facts[0][1], phrases.small) + FIRST_FACT_BONUS
    for place, (index, text) in enumerate(facts):
        follower = facts[place + 1][1] if place + 1 < len(facts) else None
        movable = stands_alone(text, phrases.pointing) and (
            follower is None or stands_alone(follower, phrases.pointing)
        )
        if movable and strength(text, phrases.small) > most:
            best, most = index, strength(text, phrases.small)
    return best


def _spoken(fact: str) -> str:
    """The fact without pictures, which are not spoken; empty when nothing else is left."""
    text = " ".join("".join(" " if _is_picture(c) else c for c in fact).split())
    text = re.sub(r" (?=[.,;:!?…])", "", text)  # where a picture stood before the mark
    return text if any(c.isalnum() for c in text) else ""


def _is_picture(character: str) -> bool:
    code = ord(character)
    return (
        code >= 0x2190 and unicodedata.category(character) in {"So", "Sk"}
    ) or code in {0xFE0F, 0x200D, 0x20E3}  # fmt: skip


def _sentence(text: str) -> str:
    """A sentence by its looks: a capital first, a full stop last."""
    begun = text[:1].upper() + text[1:] if text[:1].islower() and text[1:2] != "." else text
    stripped = begun.rstrip(" ,;:–—-")
    ending = stripped.rstrip("\"'”’»)]")
    return stripped if ending.endswith(tuple(_TERMINAL)) else f"{stripped}."


def _sections(
    topic: Topic, facts: Sequence[_Fact], phrases: Phrases, choice: _Choice
) -> tuple[Section, ...]:
    name = _spoken_topic(topic.topic)
    body = [
        Section(SectionKind.BODY, fact.heading, _told(fact, turn, len(facts) - 1, phrases, choice))
        for turn, fact in enumerate(facts[1:])
    ]
    outro = [choice.of(phrases.farewells, "farewell")]
    if name:
        outro.insert(0, choice.of(phrases.outros, "outro").format(topic=name))
    return (
        Section(
            SectionKind.HOOK,
            clip_title(topic.topic, 60),
            (*_hook(facts[0], phrases, choice), Sentence(choice.of(phrases.teasers, "teaser"))),
        ),
        *body,
        Section(
            SectionKind.OUTRO,
            choice.of(phrases.outro_headings, "outro heading"),
            tuple(Sentence(text) for text in outro),
        ),
    )


def _hook(fact: _Fact, phrases: Phrases, choice: _Choice) -> tuple[Sentence, ...]:
    """The strongest fact behind a hook where one sentence can hold both, else after it."""
    first, rest = fact.spoken[0], fact.spoken[1:]
    hook = choice.of(phrases.hooks, "hook")
    lead = hook.removesuffix("{fact}").rstrip()
    joined = lead[-1] not in ".!?:"
    if joined:
        word = first.split(" ", 1)[0]
        if word.casefold() not in phrases.starters or len(first.split()) > 20 or rest:
            plain = [
                other
                for other in phrases.hooks
                if other.removesuffix("{fact}").rstrip()[-1] in ".!?:"
            ]
            lead = choice.of(plain, "plain hook").removesuffix("{fact}").rstrip()
            joined = False
    if not joined:
        lead = lead.rstrip(": ") + ("." if lead[-1] == ":" else "")
        return (Sentence(lead), *(Sentence(part, fact.index) for part in fact.spoken))
    inner = (first[:1].lower() + first[1:]).rstrip(".")
    return (Sentence(f"{lead} {inner}{_closing(lead)}", fact.index),)


def _closing(lead: str) -> str:
    """A question's mark where the hook asks, a full stop where it tells."""
    asks = lead.startswith(("¿", "Did", "Would", "Você", "Quem"))
    return "?" if asks else "."


def _told(
    fact: _Fact, turn: int, count: int, phrases: Phrases, choice: _Choice
) -> tuple[Sentence, ...]:
    told = tuple(Sentence(part, fact.index) for part in fact.spoken)
    if turn == count - 1 and count > 1:
        return (Sentence(choice.of(phrases.last_openers, "last opener")), *told)
    # Every other fact comes without an opener: a pattern that never pauses tires the ear.
    if turn % 2 == 0:
        return (Sentence(_opener(turn, phrases, choice)), *told)
    return told


def _opener(turn: int, phrases: Phrases, choice: _Choice) -> str:
    """The first opener begins; the others come in a turn of their own, without repeats."""
    if turn == 0:
        return phrases.openers[0]
    return choice.of(phrases.openers[1:], "opener", turn // 2)


def _spoken_topic(topic: str) -> str:
    """The topic as it can be said in a sentence, empty when it is too long or says nothing."""
    name = _spoken(topic).rstrip(_TERMINAL + " ")
    if len(name.split()) > SPOKEN_TOPIC_WORDS or len(name) > SPOKEN_TOPIC_CHARACTERS:
        return ""
    first, _, rest = name.partition(" ")
    return f"the {rest}" if first == "The" and rest else name


def _title(topic: Topic, count: int, phrases: Phrases, choice: _Choice) -> str:
    name = clip_title(topic.topic)
    title = choice.of(phrases.titles, "title").format(topic=name, count=count)
    # A clipped title would lose its point; the topic alone is then the better one.
    return title if count > 1 and clip_title(title) == title else name


def _thumbnail(topic: Topic, facts: Sequence[_Fact], phrases: Phrases) -> str:
    words = _spoken(topic.topic).split()
    if 0 < len(words) <= THUMBNAIL_WORDS and sum(map(len, words)) <= 32:
        return " ".join(words)
    found = facts[0].heading if facts else heading(topic.topic, phrases.small, ())
    return " ".join(found.split()[:THUMBNAIL_WORDS])


def _description(topic: Topic, channel: Channel, facts: Sequence[_Fact], phrases: Phrases) -> str:
    lines = [facts[0].spoken[0], "", phrases.in_this_video]
    lines += [f"• {fact.heading}" for fact in facts]
    if topic.source_url:
        lines += ["", f"{phrases.source} {topic.source_url}", phrases.made_by]
    tags = [_hashtag(text) for text in (topic.topic, topic.niche or "", channel.name)]
    lines += ["", " ".join(dict.fromkeys(tag for tag in tags if tag))]
    return clip_description("\n".join(lines))


def _hashtag(text: str) -> str:
    """`#Word` of letters and digits, empty when the text is too long to be one."""
    word = "".join(c for c in text.title() if c.isalnum() or unicodedata.category(c)[0] == "M")
    return f"#{word}" if 1 < len(word) <= 30 and not word.isdigit() else ""
