"""The second stage: write the script and hold it to what it rests on and to YouTube's limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.domain import Channel, Charge, Script, Topic
from pipeline.errors import Rejected, StageError
from pipeline.ports import ScriptWriter
from pipeline.stages.metadata import check_metadata

THUMBNAIL_WORDS = 5


@dataclass(frozen=True, slots=True)
class Scripted:
    """A checked script and what it cost."""

    script: Script
    charges: tuple[Charge, ...]


async def write_script(
    topic: Topic, *, channel: Channel, writer: ScriptWriter, notes: Sequence[str] = ()
) -> Scripted:
    """Have the script written, with the `notes` on those that were turned down.

    Raises `Rejected` when it names facts that are not there, has nothing to say, or carries
    metadata that YouTube would refuse. The error carries what the writing cost.
    """
    paid = await writer.write(topic, channel, notes=notes)
    try:
        check_script(paid.value, topic)
    except StageError as error:
        error.charges = paid.charges
        raise
    return Scripted(paid.value, paid.charges)


def check_script(script: Script, topic: Topic) -> None:
    """Raise `Rejected` for a script that may not be spoken or published; see `write_script`."""
    check_metadata(script.title, script.description, script.tags)
    if len(script.thumbnail_text.split()) > THUMBNAIL_WORDS:
        raise Rejected(
            f"the thumbnail text {script.thumbnail_text!r} has more than {THUMBNAIL_WORDS} words"
        )
    if not script.sections:
        raise Rejected(f"the script on {topic.topic!r} has no sections")
    for number, section in enumerate(script.sections, start=1):
        if not section.text.split():
            raise Rejected(f"section {number} of the script on {topic.topic!r} says nothing")
        for sentence in section.sentences:
            if sentence.fact is not None and not 0 <= sentence.fact < len(topic.facts):
                raise Rejected(
                    f"the sentence {sentence.text!r} rests on fact {sentence.fact},"
                    f" but the topic {topic.topic!r} has {len(topic.facts)} facts"
                )
    if all(s.fact is None for section in script.sections for s in section.sentences):
        raise Rejected(f"the script on {topic.topic!r} rests on none of its facts")
