"""What YouTube's refusals mean and what is done about them: one table, by reason.

A refusal is `{"error": {"code", "message", "errors": [{"domain", "reason", "message"}], "status"?,
"details"?}}`. The reason is read here and not from the SDK's `error_details`, which loses it when
the body has `details`.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pipeline.errors import Deferred, Rejected, StageError, Transient, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble

COOL_DOWN = timedelta(hours=24)
RATE_PAUSE = timedelta(seconds=60)
DOUBT_PAUSE = timedelta(minutes=15)
_PACIFIC = ZoneInfo("America/Los_Angeles")
_MESSAGE_CHARACTERS = 300


class Scope(StrEnum):
    """What a refusal is about."""

    PROJECT = "project"
    CHANNEL = "channel"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    ACCOUNT = "account"
    VIDEO = "video"
    STEP = "step"
    TRANSIENT = "transient"


class Action(StrEnum):
    """What is done about it."""

    BENCH_PROJECT = "bench the project until midnight Pacific, rotate"
    BACK_OFF = "try again in a minute, same account"
    COOL_CHANNEL = "cool for 24 hours, rotate"
    REFRESH = "refresh the token once, then needs_reauth"
    REAUTHORISE = "needs_reauth, rotate"
    DISABLE = "disable the account, rotate"
    SUSPEND = "suspend the account, rotate"
    CONFIGURE = "tell the operator"
    DOUBT = "count against the account, rotate once, then fail"
    REFUSE = "fail"
    DONE = "done already"
    RESUME = "try again"


@dataclass(frozen=True, slots=True)
class Rule:
    scope: Scope
    action: Action


def _rules(scope: Scope, action: Action, *reasons: str) -> dict[str, Rule]:
    return dict.fromkeys(reasons, Rule(scope, action))


RULES: Mapping[str, Rule] = MappingProxyType(
    _rules(Scope.PROJECT, Action.BENCH_PROJECT, "quotaExceeded", "dailyLimitExceeded")
    | _rules(
        Scope.PROJECT,
        Action.BACK_OFF,
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "servingLimitExceeded",
    )
    | _rules(Scope.PROJECT, Action.CONFIGURE, "accessNotConfigured")
    | _rules(Scope.CHANNEL, Action.COOL_CHANNEL, "uploadLimitExceeded")
    | _rules(Scope.TOKEN, Action.REFRESH, "authError", "expired")
    | _rules(Scope.ACCOUNT, Action.REAUTHORISE, "invalid_grant", "insufficientPermissions")
    | _rules(Scope.ACCOUNT, Action.DISABLE, "youtubeSignupRequired", "authenticatedUserNotChannel")
    | _rules(
        Scope.ACCOUNT,
        Action.SUSPEND,
        "authenticatedUserAccountClosed",
        "authenticatedUserAccountSuspended",
        "channelClosed",
        "channelSuspended",
        "accountClosed",
        "accountSuspended",
    )
    | _rules(Scope.ACCOUNT, Action.DOUBT, "forbidden")
    | _rules(
        Scope.VIDEO,
        Action.REFUSE,
        "forbiddenPrivacySetting",
        "forbiddenLicenseSetting",
        "invalidTitle",
        "invalidDescription",
        "invalidTags",
        "invalidCategoryId",
        "invalidVideoMetadata",
        "invalidPublishAt",
        "invalidFilename",
        "invalidRecordingDetails",
        "mediaBodyRequired",
        "defaultLanguageNotSet",
        "videoNotFound",
        "invalidImage",
        "playlistNotFound",
    )
    | _rules(Scope.STEP, Action.BACK_OFF, "uploadRateLimitExceeded")
    | _rules(Scope.STEP, Action.DONE, "captionExists", "videoAlreadyInPlaylist")
    | _rules(Scope.TRANSIENT, Action.RESUME, "backendError", "internalError", "processingFailure")
)
"""The action for every reason that is known; others go by their status, see `rule_for`."""

VERDICTS: Mapping[str, Rule] = MappingProxyType(
    _rules(
        Scope.VIDEO,
        Action.REFUSE,
        "copyright",
        "duplicate",
        "inappropriate",
        "termsOfUse",
        "length",
        "claim",
        "trademark",
        "legal",
        "codec",
        "conversion",
        "emptyFile",
        "invalidFile",
        "tooSmall",
        "uploadAborted",
    )
    | _rules(Scope.ACCOUNT, Action.SUSPEND, "uploaderAccountSuspended", "uploaderAccountClosed")
)
"""What YouTube finds of an uploaded video: the reasons of `rejected` and of `failed`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusing answer says. `reason` is empty where it names none; `foreign` is an answer
    that has not the shape of YouTube's: something between us and it refused."""

    status: int
    reason: str
    message: str
    foreign: bool = False


def read_refusal(status: int, content: bytes) -> Refusal:
    """Read an error's body, whatever it is: HTML and half a JSON are refusals without a reason."""
    try:
        error = json.loads(content)["error"]
        listed = _first(error.get("errors"))
        details: list[Mapping[str, Any]] = error.get("details") or []
        detail = next((d for d in details if "reason" in d), {})
        reason = listed.get("reason") or detail.get("reason") or error.get("status") or ""
        message = listed.get("message") or error.get("message") or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return Refusal(status, "", "", foreign=True)
    plain = " ".join(str(message).split())[:_MESSAGE_CHARACTERS]
    return Refusal(status, str(reason)[:100], plain)


def _first(listed: Any) -> Mapping[str, Any]:
    return listed[0] if isinstance(listed, list) and listed else {}


def rule_for(refusal: Refusal) -> Rule:
    """The rule for a refusal: by its status when it is the server's own fault, then by reason. What
    did not come from YouTube condemns neither an account nor a video."""
    if refusal.status >= 500 or refusal.status == 408:
        return Rule(Scope.TRANSIENT, Action.RESUME)
    if refusal.foreign and refusal.status != 401:  # with a 401 another token is worth a try
        return Rule(Scope.TRANSIENT, Action.RESUME)
    # A day's limit comes as a rate limit, too: a short back-off would ask all day in vain.
    daily = "per day" in refusal.message.lower()
    rule = RULES.get(refusal.reason)
    if daily and (refusal.status == 429 or (rule and rule.action is Action.BACK_OFF)):
        return Rule(Scope.PROJECT, Action.BENCH_PROJECT)
    if rule is not None:
        return rule
    match refusal.status:
        case 401:
            return Rule(Scope.TOKEN, Action.REFRESH)
        case 403:
            return Rule(Scope.ACCOUNT, Action.DOUBT)
        case 429:
            return Rule(Scope.PROJECT, Action.BACK_OFF)
    return Rule(Scope.VIDEO, Action.REFUSE)


def verdict_trouble(reason: str, account_id: UUID) -> AccountTrouble | None:
    """What the reason of a rejected or failed video means for the account that uploaded it."""
    rule = VERDICTS.get(reason)
    if rule is None or rule.action is not Action.SUSPEND:
        return None
    return AccountTrouble(account_id, AccountEffect.SUSPEND, reason)


def next_pacific_midnight(now: datetime) -> datetime:
    """When YouTube's quota day ends; days of 23 and 25 hours included."""
    tomorrow = now.astimezone(_PACIFIC).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=_PACIFIC)


def failure(
    refusal: Refusal, *, doing: str, account_id: UUID, now: datetime, chance: random.Random
) -> StageError:
    """The error that carries out the rule of a refusal; `doing` says what was refused."""
    said = f"YouTube refused {doing}: {refusal.reason or f'HTTP {refusal.status}'}"
    if refusal.message:
        said += f" ({refusal.message})"

    def trouble(
        effect: AccountEffect, until: datetime | None = None, *, rotate: bool = True
    ) -> AccountTrouble:
        return AccountTrouble(account_id, effect, refusal.reason or "unknown", until, rotate)

    if refusal.foreign:
        return Transient(f"{said}; what answered is not YouTube: see what stands between")
    match rule_for(refusal).action:
        case Action.BENCH_PROJECT:
            until = next_pacific_midnight(now)
            return Deferred(
                f"{said}; its Cloud project rests until midnight Pacific",
                until=until,
                trouble=trouble(AccountEffect.BENCH, until),
            )
        case Action.COOL_CHANNEL:
            until = now + COOL_DOWN
            return Deferred(
                f"{said}; the account rests for 24 hours",
                until=until,
                trouble=trouble(AccountEffect.COOL, until),
            )
        case Action.BACK_OFF:
            return Deferred(said, until=now + RATE_PAUSE * (1 + chance.random()))
        case Action.REFRESH | Action.REAUTHORISE:
            return Waiting(
                f"{said}; authorise the account anew with `ytempire account authorize`",
                trouble=trouble(AccountEffect.REAUTHORISE),
            )
        case Action.DISABLE:
            return Waiting(
                f"{said}; the account is disabled: give the channel another one with"
                " `ytempire account authorize`",
                trouble=trouble(AccountEffect.DISABLE),
            )
        case Action.SUSPEND:
            return Waiting(
                f"{said}; the account is suspended: see to it at YouTube",
                trouble=trouble(AccountEffect.SUSPEND),
            )
        case Action.CONFIGURE:
            return Waiting(
                f"{said}; enable the YouTube Data and Analytics APIs in the account's Cloud"
                " project, then `ytempire account resume`",
                trouble=trouble(AccountEffect.CONFIGURE, rotate=False),
            )
        case Action.DOUBT:
            return Rejected(
                f"{said}; see at YouTube what this account may do",
                trouble=trouble(AccountEffect.DOUBT, now + DOUBT_PAUSE),
            )
        case Action.RESUME:
            return Transient(said, trouble=trouble(AccountEffect.HICCUP, rotate=False))
        case Action.REFUSE | Action.DONE:
            return Rejected(said)
