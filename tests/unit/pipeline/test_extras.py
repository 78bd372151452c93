"""What goes with a published video is done, refused or put off, each by itself."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.domain import VideoFormat
from pipeline.errors import Deferred, LostClaim, Rejected, Transient, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble, Extra, ExtraName, ExtraStatus
from pipeline.stages.extras import TRIES, Dressed, dress, extras_of, put_off, waiting
from tests.unit.pipeline.fakes import CHANNEL, CUT, NOW, FakeHost, FolderStore

LISTED = replace(CHANNEL, playlist_id="PL_1")
SHORT = replace(CUT, format=VideoFormat(1080, 1920), duration=59.0)
DONE, REFUSED, WAITS = ExtraStatus.DONE, ExtraStatus.REFUSED, ExtraStatus.WAITS
MIDNIGHT = NOW + timedelta(hours=20)


async def run(
    host: FakeHost, extras: tuple[Extra, ...] | None = None, **changed: object
) -> Dressed:
    arguments: dict[str, object] = {
        "language": "en",
        "channel": LISTED,
        "store": FolderStore(),
        "scratch": Path("/nowhere"),
        "now": NOW,
    }
    cut = changed.pop("cut", CUT)
    wanted = extras_of(LISTED) if extras is None else extras
    return await dress(wanted, "v1", cut, host=host, **{**arguments, **changed})  # type: ignore[arg-type]


def statuses(dressed: Dressed) -> list[ExtraStatus]:
    return [extra.status for extra in dressed.extras]


def trouble(effect: AccountEffect) -> AccountTrouble:
    return AccountTrouble(UUID(int=1), effect, "reason")


async def test_all_are_added_in_their_order() -> None:
    host = FakeHost([])
    dressed = await run(host)
    assert host.log == ["thumbnail", "captions en", "playlist PL_1"]
    assert statuses(dressed) == [DONE] * 3
    assert dressed.troubles == dressed.bugs == ()


async def test_what_is_done_or_refused_or_not_due_is_left_alone() -> None:
    host = FakeHost([])
    extras = (
        Extra(ExtraName.THUMBNAIL, DONE),
        Extra(ExtraName.CAPTIONS, REFUSED, "no"),
        Extra(ExtraName.PLAYLIST, WAITS, "later", NOW + timedelta(seconds=1), 1),
    )
    dressed = await run(host, extras)
    assert host.log == []
    assert dressed.extras == extras


async def test_refused_extra_says_why_and_the_others_are_added() -> None:
    host = FakeHost([], refusals={"thumbnail": Rejected("invalidImage (too big)")})
    dressed = await run(host)
    assert statuses(dressed) == [REFUSED, DONE, DONE]
    assert dressed.extras[0].reason == "invalidImage (too big)"
    assert waiting(dressed.extras) == ()


async def test_rate_limit_of_one_extra_waits_as_long_as_is_stated() -> None:
    until = NOW + timedelta(minutes=90)
    host = FakeHost([], refusals={"thumbnail": Deferred("uploadRateLimitExceeded", until=until)})
    dressed = await run(host)
    assert statuses(dressed) == [WAITS, DONE, DONE]
    (thumbnail,) = waiting(dressed.extras)
    assert (thumbnail.until, thumbnail.tries) == (until, 1)
    assert dressed.troubles == ()


async def test_used_up_quota_sends_nothing_more_and_is_told_of_the_account_once() -> None:
    benched = trouble(AccountEffect.BENCH)
    host = FakeHost(
        [], refusals={"captions": Deferred("quotaExceeded", until=MIDNIGHT, trouble=benched)}
    )
    dressed = await run(host)
    assert host.log == ["thumbnail", "captions en"]
    assert statuses(dressed) == [DONE, WAITS, WAITS]
    assert [extra.until for extra in waiting(dressed.extras)] == [MIDNIGHT] * 2
    assert dressed.troubles == ((benched, "quotaExceeded"),)


async def test_dead_grant_waits_for_the_account() -> None:
    dead = trouble(AccountEffect.REAUTHORISE)
    host = FakeHost([], refusals={"thumbnail": Waiting("invalid_grant", trouble=dead)})
    dressed = await run(host)
    assert statuses(dressed) == [WAITS] * 3
    assert dressed.troubles == ((dead, "invalid_grant"),)


async def test_what_the_channel_may_not_do_is_not_held_against_its_account() -> None:
    doubt = trouble(AccountEffect.DOUBT)
    host = FakeHost([], refusals={"thumbnail": Rejected("forbidden", trouble=doubt)})
    dressed = await run(host)
    assert statuses(dressed) == [REFUSED, DONE, DONE]
    assert dressed.troubles == ()


async def test_hiccup_of_one_extra_is_counted_and_keeps_no_other_back() -> None:
    counted = trouble(AccountEffect.COOL)
    host = FakeHost([], refusals={"thumbnail": Transient("HTTP 503", trouble=counted)})
    dressed = await run(host)
    assert statuses(dressed) == [WAITS, DONE, DONE]
    assert dressed.troubles == ((counted, "HTTP 503"),)


async def test_bug_in_an_extra_is_kept_for_the_log_and_tried_again() -> None:
    bug = KeyError("items")
    host = FakeHost([], refusals={"captions": bug})
    dressed = await run(host)
    assert statuses(dressed) == [DONE, WAITS, DONE]
    assert dressed.bugs == (bug,)
    assert dressed.extras[1].reason == "KeyError: 'items'"


async def test_lost_claim_is_not_caught() -> None:
    with pytest.raises(LostClaim):
        await run(FakeHost([], refusals={"captions": LostClaim("another has it")}))


async def test_thumbnail_of_a_short_waits_until_it_is_processed() -> None:
    host = FakeHost([], processed=False)
    dressed = await run(host, cut=SHORT)
    assert host.log == ["inspect", "captions en", "playlist PL_1"]
    assert statuses(dressed) == [WAITS, DONE, DONE]
    assert "still processing" in str(dressed.extras[0].reason)

    host.processed = True
    later = await run(host, dressed.extras, cut=SHORT, now=NOW + timedelta(hours=1))
    assert host.log[3:] == ["inspect", "thumbnail"]
    assert statuses(later) == [DONE] * 3
    assert later.extras[0].reason is None


@pytest.mark.parametrize(
    "cut", [CUT, replace(SHORT, duration=181.0), replace(SHORT, format=VideoFormat())]
)
async def test_other_films_have_their_thumbnail_at_once(cut: object) -> None:
    host = FakeHost([], processed=False)
    await run(host, cut=cut)
    assert host.log[0] == "thumbnail"


async def test_short_that_the_host_refused_has_no_thumbnail() -> None:
    dressed = await run(FakeHost([], problem="rejected: duplicate"), cut=SHORT)
    assert statuses(dressed)[0] is REFUSED
    assert "duplicate" in str(dressed.extras[0].reason)


async def test_pauses_grow_and_end() -> None:
    host = FakeHost([], refusals={"captions": Transient("HTTP 503")})
    extras, now, pauses = (Extra(ExtraName.CAPTIONS),), NOW, []
    while waiting(extras):
        extras = (await run(host, extras, now=now)).extras
        if extras[0].until is not None:
            pauses.append(extras[0].until - now)
            now = extras[0].until
    assert pauses[:3] == [timedelta(minutes=m) for m in (1, 2, 4)]
    assert max(pauses) == timedelta(hours=6)
    assert len(host.log) == TRIES
    assert extras[0].reason == f"given up after {TRIES} tries: HTTP 503"
    assert timedelta(days=5) < now - NOW < timedelta(days=10)


def test_account_that_cannot_serve_puts_off_what_waits() -> None:
    extras = (Extra(ExtraName.THUMBNAIL, DONE), Extra(ExtraName.CAPTIONS))
    dressed = put_off(extras, "account one@example.org is cooling", MIDNIGHT, NOW)
    assert statuses(dressed) == [DONE, WAITS]
    assert (dressed.extras[1].until, dressed.extras[1].tries) == (MIDNIGHT, 1)
