"""What every script writer keeps to, whatever it is asked to write about."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Channel, Script, SectionKind, Topic
from pipeline.errors import Rejected
from pipeline.ports import ScriptWriter
from pipeline.providers.topics import TopicsFile
from pipeline.providers.writer_local import TemplateWriter
from pipeline.providers.writer_phrases import PHRASES
from pipeline.stages.metadata import check_metadata
from pipeline.stages.script import write_script
from pipeline.stages.topic_text import clean_topic

EXAMPLES = Path(__file__).parents[2] / "examples"
CHANNEL = Channel(UUID(int=7), "Small Wonders", None)
TOPIC = Topic(
    "The Moon",
    (
        "The Moon drifts away by about 3.8 centimetres every year.",
        "Twelve people have walked on it.",
        "The same side always faces Earth.",
        "Its footprints can last for millions of years.",
    ),
    "https://en.wikipedia.org/wiki/Moon",
    "space",
)
EXAMPLE_TOPICS = [
    topic
    for name in ("topics.csv", "topics.json", "topics.xml")
    for topic in TopicsFile(EXAMPLES / name).read().topics
]
TEXT = st.text(
    st.one_of(st.sampled_from("aB3 .,!?😀ש中<>&\"'"), st.characters(codec="utf-8")), max_size=120
)


@pytest.fixture(params=[TemplateWriter], ids=["template"])
def writer(request: pytest.FixtureRequest) -> ScriptWriter:
    make: Callable[[], ScriptWriter] = request.param
    return make()


async def script_of(writer: ScriptWriter, topic: Topic, channel: Channel = CHANNEL) -> Script:
    return (await write_script(topic, channel=channel, writer=writer)).script


@pytest.mark.parametrize("topic", EXAMPLE_TOPICS, ids=lambda topic: topic.topic)
async def test_script_has_a_shape_and_a_length_for_its_facts(
    writer: ScriptWriter, topic: Topic
) -> None:
    script = await script_of(writer, topic)
    kinds = [section.kind for section in script.sections]
    assert kinds == [SectionKind.HOOK, *[SectionKind.BODY] * (len(kinds) - 2), SectionKind.OUTRO]
    words = sum(len(section.text.split()) for section in script.sections)
    assert 60 <= words <= 165
    assert all(len(s.text.split()) <= 28 for section in script.sections for s in section.sentences)
    assert all(2 <= len(s.heading.split()) <= 5 for s in script.sections[1:])
    headings = [section.heading for section in script.sections]
    assert len(set(headings)) == len(headings)
    assert topic.source_url is not None
    assert topic.source_url in script.description


@pytest.mark.parametrize("topic", EXAMPLE_TOPICS, ids=lambda topic: topic.topic)
async def test_every_fact_is_told_once_in_its_own_words(writer: ScriptWriter, topic: Topic) -> None:
    script = await script_of(writer, topic)
    told: dict[int, str] = {}
    for section in script.sections:
        for sentence in section.sentences:
            if sentence.fact is not None:
                told[sentence.fact] = f"{told.get(sentence.fact, '')} {sentence.text}".strip()
    assert set(told) == set(range(len(topic.facts)))
    for index, spoken in told.items():
        fact = topic.facts[index]
        assert fact[1:-1] in spoken, "the fact is spoken word for word"
        assert sum(c.isdigit() for c in spoken) == sum(c.isdigit() for c in fact)


async def test_same_topic_and_channel_give_the_same_script(writer: ScriptWriter) -> None:
    assert await script_of(writer, TOPIC) == await script_of(writer, TOPIC)


async def test_videos_of_one_channel_do_not_all_sound_alike(writer: ScriptWriter) -> None:
    scripts = [await script_of(writer, topic) for topic in EXAMPLE_TOPICS if topic.language == "en"]
    glue = {
        tuple(s.text for section in script.sections for s in section.sentences if s.fact is None)
        for script in scripts
    }
    assert len(glue) == len(scripts)


async def test_other_channel_gets_other_words(writer: ScriptWriter) -> None:
    others = [replace(CHANNEL, id=UUID(int=number)) for number in range(8)]
    assert len({(await script_of(writer, TOPIC, other)).sections for other in others}) > 3


async def test_first_fact_points_at_nothing_before_it(writer: ScriptWriter) -> None:
    for topic in EXAMPLE_TOPICS:
        if topic.language == "en":
            hook = (await script_of(writer, topic)).sections[0]
            told = " ".join(s.text for s in hook.sentences if s.fact is not None)
            index = next(s.fact for s in hook.sentences if s.fact is not None)
            pointing = {"its", "their", "they", "she", "he", "them"} & set(told.lower().split())
            assert index == 0 or not pointing


async def test_long_fact_becomes_several_sentences(writer: ScriptWriter) -> None:
    fact = (
        "The tower was finished in 1889 for the great fair in the city of Paris, and it was meant"
        " to stand for only twenty years, but its value for radio saved it in the end."
    )
    script = await script_of(writer, Topic("The Tower", (fact, "It is tall.", "It is old.")))
    told = [s for section in script.sections for s in section.sentences if s.fact == 0]
    assert len(told) > 1
    assert all(len(s.text.split()) <= 25 for s in told)


async def test_many_facts_are_kept_to_about_a_minute(writer: ScriptWriter) -> None:
    facts = tuple(f"Fact {i} says that the moon is round and far." for i in range(50))
    script = await script_of(writer, Topic("The Moon", facts))
    assert sum(len(section.text.split()) for section in script.sections) <= 165


@pytest.mark.parametrize("language", [*PHRASES, "en-GB", "pt-BR"])
async def test_each_language_has_a_whole_script(writer: ScriptWriter, language: str) -> None:
    script = await script_of(writer, replace(TOPIC, language=language))
    assert script.language == language
    assert len(script.sections) == 5


async def test_language_without_templates_is_rejected_not_written_in_english() -> None:
    with pytest.raises(Rejected, match=r"'ja'.*de, en, es, fr, pt"):
        await TemplateWriter().write(replace(TOPIC, language="ja"), CHANNEL)


async def test_topic_without_facts_is_rejected(writer: ScriptWriter) -> None:
    with pytest.raises(Rejected, match="facts"):
        await writer.write(Topic("The Moon"), CHANNEL)


async def test_template_writer_charges_words_and_no_money() -> None:
    paid = await TemplateWriter().write(TOPIC, CHANNEL)
    words = sum(len(section.text.split()) for section in paid.value.sections)
    (charge,) = paid.charges
    assert (charge.service, charge.operation) == ("template", "script.write")
    assert (charge.units, charge.unit_type, charge.amount) == (words, "words", 0)
    assert isinstance(charge.amount, Decimal)


@pytest.mark.parametrize(
    "name",
    ["x" * 400, "wonder " * 57, "😀", "ירח וכוכבים", "a <b> & 'c':textfile=/etc/passwd", "月"],
)
async def test_strange_topics_give_valid_scripts(writer: ScriptWriter, name: str) -> None:
    script = await script_of(writer, replace(TOPIC, topic=name.strip()))
    check_metadata(script.title, script.description, script.tags)


@settings(max_examples=80, deadline=None)
@given(TEXT, st.lists(TEXT, max_size=6), st.sampled_from(sorted(PHRASES)))
async def test_any_clean_topic_with_something_to_say_gives_a_valid_script(
    name: str, facts: list[str], language: str
) -> None:
    try:
        topic = clean_topic(Topic(name, tuple(facts), "https://e.org/x", "a niche", language))
    except Rejected:
        return
    if any(c.isalnum() for fact in topic.facts for c in fact):
        script = await script_of(TemplateWriter(), topic)
        assert all(section.heading for section in script.sections)
    else:
        with pytest.raises(Rejected, match="facts"):
            await TemplateWriter().write(topic, CHANNEL)
