"""What a script must keep to before anything is spent on it."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.domain import Script, Section, SectionKind, Sentence
from pipeline.errors import Rejected
from pipeline.stages.script import write_script
from tests.unit.pipeline.fakes import CHANNEL, CHARGE, SCRIPT, TOPIC, FakeWriter


async def written(**changed: Any) -> Script:
    writer = FakeWriter(replace(SCRIPT, **changed))
    return (await write_script(TOPIC, channel=CHANNEL, writer=writer)).script


async def test_good_script_passes_with_its_charge() -> None:
    scripted = await write_script(TOPIC, channel=CHANNEL, writer=FakeWriter(SCRIPT))
    assert scripted.script == SCRIPT
    assert scripted.charges == (CHARGE,)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": "x" * 101}, "101"),
        ({"title": "a <b>"}, "<"),
        ({"description": "ä" * 2501}, "5002"),
        ({"tags": ("a,b",)}, "comma"),
        ({"thumbnail_text": "one two three four five six"}, "5 words"),
        ({"sections": ()}, "no sections"),
        ({"sections": (Section(SectionKind.HOOK, "h", ()),)}, "section 1"),
        ({"sections": (Section(SectionKind.HOOK, "h", (Sentence("Hi.", 2),)),)}, "2 facts"),
        ({"sections": (Section(SectionKind.HOOK, "h", (Sentence("Hi."),)),)}, "none of its facts"),
    ],
)
async def test_bad_script_is_rejected_with_the_reason(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said) as caught:
        await written(**changed)
    assert caught.value.charges == (CHARGE,)
