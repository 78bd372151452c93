"""The first stage: choose what the next video is about."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.domain import Channel, Topic, Trend
from pipeline.errors import Rejected
from pipeline.stages.topic_text import clean_topic, normalise_topic

OWN_SOURCE = "custom"


@dataclass(frozen=True, slots=True)
class TrendPick:
    """The chosen topic; `trend` is the stored trend it came from, None for a topic asked for."""

    topic: Topic
    trend: Trend | None


async def pick_topic(
    request_topic: Topic | None,
    candidates: Sequence[Trend],
    *,
    channel: Channel,
    recent: Collection[str],
) -> TrendPick:
    """The topic asked for, else the candidate of the best opportunity that suits the channel.

    A candidate suits when it is in the channel's language (the primary tag decides: en-GB suits
    en) and of its niche; a channel or a topic without a niche suits every other. What a feed offers
    without a niche comes after what is known to be of the channel's, or names it in its words; an
    operator's own topics always are. Among equals the order of the candidates decides. `recent` are
    the topics made lately, in any spelling. Raises `Rejected` when the topic asked for cannot be
    used or no candidate is left.
    """
    if request_topic is not None:
        return TrendPick(clean_topic(request_topic), None)
    made = {normalise_topic(topic) for topic in recent}
    suitable = [trend for trend in candidates if _suits(trend.topic, channel)]
    fresh = [trend for trend in suitable if normalise_topic(trend.topic.topic) not in made]
    if not fresh:
        raise Rejected(_nothing_left(len(candidates), len(suitable), channel))
    best = max(  # the first of equals
        fresh, key=lambda trend: (_of_niche(trend, channel), trend.opportunity)
    )
    return TrendPick(clean_topic(best.topic), best)


def _suits(topic: Topic, channel: Channel) -> bool:
    same_language = _primary(topic.language) == _primary(channel.language)
    return same_language and (
        topic.niche is None
        or channel.niche is None
        or topic.niche.casefold().strip() == channel.niche.casefold().strip()
    )


def _of_niche(trend: Trend, channel: Channel) -> bool:
    """Whether a suitable trend is of the channel's niche for sure, not just for want of its own."""
    if channel.niche is None or trend.topic.niche is not None or trend.source == OWN_SOURCE:
        return True
    told = normalise_topic(" ".join((trend.topic.topic, *trend.topic.facts))).split()
    return set(normalise_topic(channel.niche).split()) <= set(told)


def _primary(language: str) -> str:
    return language.replace("_", "-").split("-")[0].casefold()


def _nothing_left(candidates: int, suitable: int, channel: Channel) -> str:
    wanted = f"in language {channel.language!r}" + (
        f" and niche {channel.niche!r}" if channel.niche else ""
    )
    if not candidates:
        found = "no topic is stored"
    elif not suitable:
        found = f"none of the {candidates} stored topics is {wanted}"
    else:
        found = f"all {suitable} stored topics {wanted} were used already"
    return (
        f"channel {channel.name!r} has nothing to make a video about: {found};"
        " add topics with `ytempire trend import FILE` or `ytempire trend ingest`, or name one with"
        " `ytempire run start --topic`"
    )
