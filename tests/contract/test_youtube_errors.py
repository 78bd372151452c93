"""Every refusal of YouTube's leads to its action: the server says it, the host reads it."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.domain import Visibility
from pipeline.errors import Deferred, Rejected, StageError, Transient, Waiting
from pipeline.hosting import AccountEffect
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from pipeline.providers.youtube_errors import RULES, next_pacific_midnight, read_refusal
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import MemoryMeter, MemoryTokens
from tests.services.youtube_world import Fault, World

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAILY = (
    "Quota exceeded for quota metric 'Video Uploads' and limit 'Video Uploads per day' of service"
)
EFFECT = AccountEffect
# status, reason, error, effect, until (None: not looked at)
CASES: list[tuple[int, str, type[StageError], AccountEffect | None, datetime | None]] = [
    (403, "quotaExceeded", Deferred, EFFECT.BENCH, MIDNIGHT),
    (403, "dailyLimitExceeded", Deferred, EFFECT.BENCH, MIDNIGHT),
    (403, "rateLimitExceeded", Deferred, None, None),
    (429, "rateLimitExceeded", Deferred, None, None),
    (403, "userRateLimitExceeded", Deferred, None, None),
    (403, "servingLimitExceeded", Deferred, None, None),
    (400, "uploadLimitExceeded", Deferred, EFFECT.COOL, NOW + timedelta(hours=24)),
    (401, "authError", Waiting, EFFECT.REAUTHORISE, None),
    (401, "expired", Waiting, EFFECT.REAUTHORISE, None),
    (401, "youtubeSignupRequired", Waiting, EFFECT.DISABLE, None),
    (403, "authenticatedUserNotChannel", Waiting, EFFECT.DISABLE, None),
    (403, "authenticatedUserAccountClosed", Waiting, EFFECT.SUSPEND, None),
    (403, "authenticatedUserAccountSuspended", Waiting, EFFECT.SUSPEND, None),
    (403, "channelClosed", Waiting, EFFECT.SUSPEND, None),
    (403, "channelSuspended", Waiting, EFFECT.SUSPEND, None),
    (403, "accountClosed", Waiting, EFFECT.SUSPEND, None),
    (403, "accountSuspended", Waiting, EFFECT.SUSPEND, None),
    (403, "insufficientPermissions", Waiting, EFFECT.REAUTHORISE, None),
    (403, "accessNotConfigured", Waiting, EFFECT.CONFIGURE, None),
    (403, "forbidden", Rejected, EFFECT.DOUBT, None),
    (403, "forbiddenPrivacySetting", Rejected, None, None),
    (403, "forbiddenLicenseSetting", Rejected, None, None),
    (400, "invalidTitle", Rejected, None, None),
    (400, "invalidDescription", Rejected, None, None),
    (400, "invalidTags", Rejected, None, None),
    (400, "invalidCategoryId", Rejected, None, None),
    (400, "invalidVideoMetadata", Rejected, None, None),
    (400, "invalidPublishAt", Rejected, None, None),
    (400, "invalidFilename", Rejected, None, None),
    (400, "invalidRecordingDetails", Rejected, None, None),
    (400, "mediaBodyRequired", Rejected, None, None),
    (400, "defaultLanguageNotSet", Rejected, None, None),
    (404, "videoNotFound", Rejected, None, None),
    (404, "playlistNotFound", Rejected, None, None),
    (400, "invalidImage", Rejected, None, None),
    (429, "uploadRateLimitExceeded", Deferred, None, None),
    (500, "backendError", Transient, EFFECT.HICCUP, None),
    (500, "internalError", Transient, EFFECT.HICCUP, None),
    (503, "processingFailure", Transient, EFFECT.HICCUP, None),
    (408, "", Transient, EFFECT.HICCUP, None),
    # The server's own fault, whatever it says.
    (502, "quotaExceeded", Transient, EFFECT.HICCUP, None),
    (400, "aReasonNobodyKnows", Rejected, None, None),
]
DONE = {"captionExists", "videoAlreadyInPlaylist"}
OAUTH = {"invalid_grant"}


class Desk:
    def __init__(self, youtube: YouTubeServer) -> None:
        self.youtube = youtube
        self.world = youtube.world
        self.account = self.world.add_account("UC_own")
        self.tokens = MemoryTokens(self.account, youtube.token_uri)
        self.host = YouTubeHost(
            self.tokens,
            YouTubeOptions(self.tokens.account_id, "UC_own", youtube.root, look_up_waits=()),
            meter=MemoryMeter(),
            clock=lambda: NOW,
            chance=random.Random(1),
        )

    async def refused(self, **fault: Any) -> StageError:
        self.world.faults.append(Fault("channels.list", times=2, **fault))
        with pytest.raises(StageError) as caught:
            await self.host.owner()
        return caught.value


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with YouTubeServer(World(clock=lambda: NOW)) as youtube:
        yield Desk(youtube)


def test_every_rule_of_the_table_is_tried() -> None:
    assert {case[1] for case in CASES} >= set(RULES) - DONE - OAUTH


@pytest.mark.parametrize(("status", "reason", "kind", "effect", "until"), CASES)
@pytest.mark.parametrize("details", [False, True])
async def test_refusal_leads_to_its_action(
    desk: Desk,
    status: int,
    reason: str,
    kind: type[StageError],
    effect: AccountEffect | None,
    until: datetime | None,
    details: bool,
) -> None:
    error = await desk.refused(status=status, reason=reason, message="No.", details=details)
    assert type(error) is kind
    assert reason in str(error)
    assert (error.trouble.effect if error.trouble else None) == effect
    if error.trouble is not None:
        assert error.trouble.account_id == desk.tokens.account_id
        if reason:
            assert error.trouble.reason == reason
        assert error.trouble.rotate is (effect not in (EFFECT.CONFIGURE, EFFECT.HICCUP))
    if until is not None:
        assert isinstance(error, Deferred)
        assert error.until == until
        assert error.trouble is not None
        assert error.trouble.until == until


@pytest.mark.parametrize("status", [403, 429])
async def test_daily_limit_told_as_a_rate_limit_benches_the_project(
    desk: Desk, status: int
) -> None:
    error = await desk.refused(status=status, reason="rateLimitExceeded", message=DAILY)
    assert isinstance(error, Deferred)
    assert error.until == MIDNIGHT
    assert error.trouble is not None
    assert error.trouble.effect is EFFECT.BENCH


async def test_rate_limit_comes_back_soon_but_not_at_once(desk: Desk) -> None:
    error = await desk.refused(status=429, reason="rateLimitExceeded")
    assert isinstance(error, Deferred)
    assert timedelta(seconds=60) <= error.until - NOW <= timedelta(seconds=120)


async def test_refused_token_is_renewed_once(desk: Desk) -> None:
    assert await desk.host.owner() == "UC_own"
    desk.world.tokens.clear()
    assert await desk.host.owner() == "UC_own"
    assert desk.tokens.refreshed == 2


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client"])
async def test_dead_grant_asks_for_a_new_authorisation(desk: Desk, error: str) -> None:
    if error == "invalid_grant":
        desk.account.token_error = error
    else:
        desk.account.client_secret = "another"
    with pytest.raises(Waiting) as caught:
        await desk.host.owner()
    assert caught.value.trouble is not None
    assert caught.value.trouble.effect is EFFECT.REAUTHORISE
    assert caught.value.trouble.reason == error
    assert desk.account.refresh_token not in repr(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "garbage"},
        {"kind": "cut"},
        {"status": 200, "body": "[]"},
        {"status": 200, "body": "{}"},
        {"status": 200, "body": '{"access_token": 7, "expires_in": "soon"}'},
        {"status": 403, "body": "<html>Log in to the hotel's network"},
        {"status": 407, "body": '{"error": 407}'},
        {"status": 502, "body": '{"error": "bad gateway"}'},
        {"status": 503, "body": '{"error": "backend_error"}'},
        {"status": 429, "body": '{"error": "rate_limit_exceeded"}'},
    ],
)
async def test_whatever_else_answers_for_the_token_endpoint_condemns_no_account(
    desk: Desk, fault: dict[str, Any]
) -> None:
    desk.world.faults.append(Fault("token", times=9, **fault))
    with pytest.raises(Transient) as caught:
        await desk.host.owner()
    assert caught.value.trouble is None
    desk.world.faults.clear()
    assert await desk.host.owner() == "UC_own"


async def test_missing_scope_asks_for_a_new_authorisation(desk: Desk) -> None:
    desk.account.scopes = ("https://www.googleapis.com/auth/youtube.upload",)
    desk.tokens = MemoryTokens(desk.account, desk.youtube.token_uri)
    host = YouTubeHost(
        desk.tokens,
        YouTubeOptions(desk.tokens.account_id, "UC_own", desk.youtube.root),
        meter=MemoryMeter(),
        clock=lambda: NOW,
        chance=random.Random(1),
    )
    with pytest.raises(Waiting, match="insufficientPermissions"):
        await host.owner()


async def test_account_without_a_channel_is_disabled(desk: Desk) -> None:
    desk.account.channel_id = None
    with pytest.raises(Waiting) as caught:
        await desk.host.owner()
    assert caught.value.trouble is not None
    assert caught.value.trouble.effect is EFFECT.DISABLE


@pytest.mark.parametrize("kind", ["cut", "cut_after", "garbage"])
async def test_lost_and_unreadable_answers_are_asked_for_again(desk: Desk, kind: str) -> None:
    desk.world.faults.append(Fault("channels.list", kind=kind, times=9))
    with pytest.raises(Transient):
        await desk.host.owner()


async def test_quota_of_the_project_is_counted_and_ends(desk: Desk) -> None:
    desk.world.limits["default"] = 1
    await desk.host.owner()
    with pytest.raises(Deferred) as caught:
        await desk.host.publish("abc", Visibility.PUBLIC, None)
    assert caught.value.until == MIDNIGHT


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"null", b'{"error": "no"}', b'{"error": {"errors": 3}}', b"\xff"],
)
def test_any_body_is_a_refusal(content: bytes) -> None:
    assert read_refusal(418, content).status == 418


@pytest.mark.parametrize("status", [400, 401, 403, 407, 429])
async def test_page_between_us_and_youtube_condemns_neither_account_nor_video(
    desk: Desk, status: int
) -> None:
    error = await desk.refused(status=status, body="<html>Log in to the hotel's network")
    assert type(error) is Transient
    assert "not YouTube" in str(error)
    assert error.trouble is None


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2026-03-08T07:59:00+00:00", "2026-03-08T08:00:00+00:00"),
        ("2026-03-08T08:00:00+00:00", "2026-03-09T07:00:00+00:00"),  # a day of 23 hours
        ("2026-11-01T07:00:00+00:00", "2026-11-02T08:00:00+00:00"),  # a day of 25 hours
    ],
)
def test_quota_days_end_at_midnight_in_los_angeles(now: str, midnight: str) -> None:
    assert next_pacific_midnight(datetime.fromisoformat(now)) == datetime.fromisoformat(midnight)
