"""What the fake YouTube knows and enforces: accounts, channels, sessions, videos, quota, faults.

The rules are YouTube's: what it refuses is refused, and what it forgives is forgiven (an upload
without privacyStatus is public). `youtube_server` speaks HTTP over it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.services.youtube_consent import Consent

UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
FORCE_SSL = "https://www.googleapis.com/auth/youtube.force-ssl"
READONLY = "https://www.googleapis.com/auth/youtube.readonly"
ANALYTICS = "https://www.googleapis.com/auth/yt-analytics.readonly"
MONETARY = "https://www.googleapis.com/auth/yt-analytics-monetary.readonly"
SCOPES = (UPLOAD, FORCE_SSL, READONLY, ANALYTICS)

QUANTUM = 256 * 1024
SESSION_LIFE = timedelta(days=7)
PACIFIC = ZoneInfo("America/Los_Angeles")
COSTS = {
    "videos.insert": ("videos.insert", 1),
    "channels.list": ("default", 1),
    "videos.list": ("default", 1),
    "playlistItems.list": ("default", 1),
    "videos.update": ("default", 50),
    "thumbnails.set": ("default", 50),
    "captions.insert": ("default", 400),
    "playlistItems.insert": ("default", 50),
}
NEEDS = {
    "videos.insert": {UPLOAD, FORCE_SSL},
    "thumbnails.set": {UPLOAD, FORCE_SSL},
    "channels.list": {READONLY, FORCE_SSL},
    "videos.list": {READONLY, FORCE_SSL},
    "playlistItems.list": {READONLY, FORCE_SSL},
    "videos.update": {FORCE_SSL},
    "captions.insert": {FORCE_SSL},
    "playlistItems.insert": {FORCE_SSL},
    "reports.query": {ANALYTICS, MONETARY},
}

METRICS = {
    "views": "INTEGER",
    "engagedViews": "INTEGER",
    "estimatedMinutesWatched": "INTEGER",
    "averageViewDuration": "INTEGER",
    "averageViewPercentage": "FLOAT",
    "likes": "INTEGER",
    "shares": "INTEGER",
    "comments": "INTEGER",
    "subscribersGained": "INTEGER",
    "subscribersLost": "INTEGER",
    "estimatedRevenue": "FLOAT",
}


class Refused(Exception):
    """An answer in YouTube's error shape."""

    def __init__(self, status: int, reason: str, message: str = "", domain: str = "global") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.message = message or f"Refused: {reason}."
        self.domain = domain

    def body(self, *, details: bool = False) -> dict[str, Any]:
        listed = {"domain": self.domain, "reason": self.reason, "message": self.message}
        error: dict[str, Any] = {"code": self.status, "message": self.message, "errors": [listed]}
        if details:
            error["status"] = "FAILED_PRECONDITION"
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo"}]
        return {"error": error}


@dataclass
class Account:
    channel_id: str | None
    refresh_token: str
    client_id: str = "client-1.apps.googleusercontent.com"
    client_secret: str = "GOCSPX-client-secret"
    scopes: tuple[str, ...] = SCOPES
    project: str = "project-1"
    token_error: str | None = None

    def file(self) -> dict[str, Any]:
        """The account as an authorized_user file."""
        return {
            "type": "authorized_user",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "scopes": list(self.scopes),
        }


@dataclass
class Session:
    id: str
    channel_id: str
    size: int
    resource: dict[str, Any]
    opened_at: datetime
    data: bytearray = field(default_factory=bytearray)
    video_id: str | None = None


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of an operation, the first `skip` let by.

    `kind`: `refuse` (before any effect), `lose` (the effect happens, the answer is a 503), `cut`
    (the connection ends without an answer, before any effect), `cut_after`, `garbage` (a 200 with
    HTML, after the effect), `partial` (an upload keeps `keep` bytes of the chunk).
    """

    operation: str
    kind: str = "refuse"
    status: int = 503
    reason: str = "backendError"
    message: str = ""
    domain: str = "global"
    details: bool = False
    body: str | None = None
    keep: int = 0
    times: int = 1
    skip: int = 0


@dataclass
class World:
    """Everything the server knows. `clock` can be replaced; `lock` guards all of it."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    lock: threading.RLock = field(default_factory=threading.RLock)
    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Account] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    captions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    playlists: dict[str, list[str]] = field(default_factory=dict)
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    charts: dict[str, list[Any]] = field(default_factory=dict)  # by country
    limits: dict[str, int] = field(
        default_factory=lambda: {"videos.insert": 100, "default": 10_000}
    )
    used: dict[tuple[str, str, str], int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    # Called with the journal's entry once a request had its effect, before it is answered.
    hooks: dict[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    # A new video is `uploaded` until its status was read this often; `rejection` is YouTube's final
    # word on new videos, and `shorts` makes all of them Shorts.
    unprocessed_reads: int = 0
    rejection: str | None = None
    shorts: bool = False
    unlisted_reads: int = 0
    token_life_seconds: int = 3599
    consent: Consent = field(default_factory=Consent)

    def add_account(self, channel_id: str | None, **options: Any) -> Account:
        token = options.pop("refresh_token", None) or f"1//refresh-{secrets.token_hex(12)}"
        account = Account(channel_id, token, **options)
        self.accounts[token] = account
        return account

    def fault_for(self, operation: str) -> Fault | None:
        for fault in self.faults:
            if fault.operation != operation or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
        return None

    # -- tokens -------------------------------------------------------------------------------

    def grant(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The token endpoint: 200 with a new access token, or an OAuth error."""
        if form.get("grant_type") == "authorization_code":
            return self.consent.redeem(form, f"ya29.access-{secrets.token_hex(12)}")
        if form.get("grant_type") != "refresh_token":
            return 400, {"error": "unsupported_grant_type"}
        account = self.accounts.get(form.get("refresh_token", ""))
        if account is None:
            return 400, {"error": "invalid_grant", "error_description": "Bad Request"}
        if (form.get("client_id"), form.get("client_secret")) != (
            account.client_id,
            account.client_secret,
        ):
            return 401, {"error": "invalid_client", "error_description": "Unauthorized"}
        if account.token_error is not None:
            return 400, {"error": account.token_error, "error_description": "Token revoked."}
        if not set(form.get("scope", "").split()) <= set(account.scopes):
            return 400, {"error": "invalid_scope"}
        token = f"ya29.access-{secrets.token_hex(12)}"
        self.tokens[token] = account
        return 200, {
            "access_token": token,
            "expires_in": self.token_life_seconds,
            "scope": " ".join(account.scopes),
            "token_type": "Bearer",
        }

    def authorised(self, header: str | None, operation: str) -> Account:
        scheme, _, token = (header or "").partition(" ")
        account = self.tokens.get(token) if scheme == "Bearer" else None
        if account is None:
            raise Refused(401, "authError", "Invalid Credentials")
        if not NEEDS[operation] & set(account.scopes):
            raise Refused(
                403,
                "insufficientPermissions",
                "Request had insufficient authentication scopes.",
            )
        self._spend(account, operation)
        if account.channel_id is None:
            raise Refused(401, "youtubeSignupRequired", domain="youtube.header")
        return account

    def _spend(self, account: Account, operation: str) -> None:
        if operation not in COSTS:
            return
        bucket, units = COSTS[operation]
        day = self.clock().astimezone(PACIFIC).date().isoformat()
        key = (account.project, bucket, day)
        used = self.used.get(key, 0)
        if used + units > self.limits[bucket]:
            raise Refused(
                403,
                "quotaExceeded",
                "The request cannot be completed because you have exceeded your quota.",
                "youtube.quota",
            )
        self.used[key] = used + units

    # -- uploads ------------------------------------------------------------------------------

    def open_session(self, account: Account, resource: dict[str, Any], size: int) -> Session:
        check_resource(resource)
        assert account.channel_id is not None
        session = Session(
            secrets.token_urlsafe(24), account.channel_id, size, resource, self.clock()
        )
        self.sessions[session.id] = session
        return session

    def session(self, id_: str, account: Account) -> Session:
        session = self.sessions.get(id_)
        if session is None or self.clock() - session.opened_at > SESSION_LIFE:
            raise Refused(404, "notFound", "The upload session is gone.")
        if session.channel_id != account.channel_id:
            raise Refused(403, "forbidden", "The session belongs to another user.")
        return session

    def append(self, session: Session, first: int, data: bytes, keep: int | None) -> None:
        """Add a chunk; `keep` bytes of it only, if told so. The whole makes a video."""
        if first != len(session.data):
            raise Refused(400, "badRequest", f"The session has {len(session.data)} bytes.")
        last = first + len(data) == session.size
        if not last and len(data) % QUANTUM:
            raise Refused(400, "badRequest", "A chunk is a multiple of 256 KiB.")
        session.data += data if keep is None else data[:keep]
        if len(session.data) == session.size:
            session.video_id = self.make_video(session)

    def make_video(self, session: Session) -> str:
        id_ = secrets.token_urlsafe(8)
        now = self.clock().isoformat()
        status = session.resource.get("status", {})
        self.videos[id_] = {
            "id": id_,
            "kind": "youtube#video",
            "snippet": {
                **session.resource["snippet"],
                "channelId": session.channel_id,
                "publishedAt": now,
            },
            "status": {
                "license": "youtube",
                "embeddable": True,
                "publicStatsViewable": True,
                # YouTube's own default: told nothing, it shows the video to everybody.
                "privacyStatus": "public",
                **status,
                "uploadStatus": "uploaded" if self.unprocessed_reads else "processed",
            },
            "statistics": {"viewCount": "0", "likeCount": "0", "commentCount": "0"},
        }
        if self.rejection is not None:
            self.videos[id_]["status"] |= {
                "uploadStatus": "rejected",
                "rejectionReason": self.rejection,
            }
        self.files[id_] = bytes(session.data)
        return id_

    def processing(self, video: dict[str, Any]) -> dict[str, str]:
        """The part `processingDetails`."""
        if "processingDetails" in video:
            return dict(video["processingDetails"])
        state = video["status"]["uploadStatus"]
        return {"processingStatus": {"uploaded": "processing"}.get(state, "succeeded")}

    # -- videos -------------------------------------------------------------------------------

    def released(self, id_: str) -> dict[str, Any] | None:
        """The video, public by now if its time has come."""
        video = self.videos.get(id_)
        at = video["status"].get("publishAt") if video is not None else None
        if video is not None and at and datetime.fromisoformat(at) <= self.clock():
            video["status"]["privacyStatus"] = "public"
            del video["status"]["publishAt"]
            video["snippet"]["publishedAt"] = at
        return video

    def visible(self, id_: str, account: Account) -> dict[str, Any] | None:
        video = self.released(id_)
        if video is None:
            return None
        own = video["snippet"]["channelId"] == account.channel_id
        return video if own or video["status"]["privacyStatus"] != "private" else None

    def own(self, id_: str, account: Account) -> dict[str, Any]:
        video = self.visible(id_, account)
        if video is None:
            raise Refused(404, "videoNotFound", domain="youtube.video")
        if video["snippet"]["channelId"] != account.channel_id:
            raise Refused(403, "forbidden", domain="youtube.video")
        return video

    def update_status(self, video: dict[str, Any], status: dict[str, Any]) -> None:
        """What an update leaves out is reset, as YouTube does."""
        wanted = status.get("privacyStatus", "public")
        if wanted not in ("public", "private", "unlisted"):
            raise Refused(400, "invalidVideoMetadata", domain="youtube.video")
        at = status.get("publishAt")
        old = video["status"]
        if at is not None:
            ever = old["privacyStatus"] != "private"
            past = datetime.fromisoformat(at) <= self.clock()
            if wanted != "private" or ever or past:
                raise Refused(400, "invalidPublishAt", domain="youtube.video")
        was = old["privacyStatus"]
        fresh = {
            "license": "youtube",
            "embeddable": True,
            "publicStatsViewable": True,
            "selfDeclaredMadeForKids": False,
            "containsSyntheticMedia": False,
        }
        video["status"] = {**fresh, **status, "privacyStatus": wanted}
        told = ("uploadStatus", "rejectionReason", "failureReason")
        video["status"] |= {name: old[name] for name in told if name in old}
        if wanted != was and wanted != "private":
            video["snippet"]["publishedAt"] = self.clock().isoformat()

    def chart(self, query: dict[str, str]) -> list[Any]:
        """The first page of a country's most popular videos."""
        country, size = query.get("regionCode", "US"), int(query.get("maxResults", "5"))
        if query["chart"] != "mostPopular" or not 1 <= size <= 50:
            raise Refused(400, "invalidParameter", domain="youtube.parameter")
        if not (len(country) == 2 and country.isupper()) or country == "ZZ":
            raise Refused(400, "invalidRegionCode", domain="youtube.parameter")
        return self.charts.get(country, [])[:size]

    # -- reports ------------------------------------------------------------------------------

    def report(self, account: Account, query: dict[str, str]) -> dict[str, Any]:
        """One row a day of `reports`, which only the video's own channel may see."""
        metrics = query["metrics"].split(",")
        name, _, id_ = query.get("filters", "").partition("==")
        supported = set(metrics) <= set(METRICS) and query.get("dimensions") == "day"
        if query.get("ids") != "channel==MINE" or name != "video" or not supported:
            raise Refused(400, "badRequest", "The query is not supported.")
        if "estimatedRevenue" in metrics and MONETARY not in account.scopes:
            raise Refused(403, "forbidden", "Revenue needs a monetary scope.")
        first, last = (date.fromisoformat(query[name]) for name in ("startDate", "endDate"))
        video = self.videos.get(id_)
        own = video is not None and video["snippet"]["channelId"] == account.channel_id
        rows = [
            [row["day"], *(row.get(metric, 0) for metric in metrics)]
            for row in (self.reports.get(id_, []) if own else [])
            if first <= date.fromisoformat(row["day"]) <= last
        ]
        headers = [{"name": "day", "columnType": "DIMENSION", "dataType": "STRING"}]
        headers += [
            {"name": metric, "columnType": "METRIC", "dataType": METRICS[metric]}
            for metric in metrics
        ]
        # The order of columns is not promised: last first, so that nobody counts on it.
        return {"columnHeaders": headers[::-1], "rows": [row[::-1] for row in rows]}


def charted(id_: str, title: str, **counts: int) -> dict[str, Any]:
    """A video as the chart lists it: counts are strings, and hidden ones are not there."""
    return {
        "kind": "youtube#video",
        "id": id_,
        "snippet": {
            "publishedAt": "2026-11-18T17:00:05Z",
            "channelId": "UC_star",
            "title": title,
            "description": "Subscribe! https://e.org/buy",
            "channelTitle": "A Star",
            "categoryId": "10",
        },
        "statistics": {name: str(count) for name, count in counts.items()},
    }


def check_resource(resource: dict[str, Any]) -> None:
    """Refuse a new video's resource as YouTube would."""

    def refuse(reason: str) -> None:
        raise Refused(400, reason, domain="youtube.video")

    snippet, status = resource.get("snippet", {}), resource.get("status", {})
    title, description = snippet.get("title", ""), snippet.get("description", "")
    tags = snippet.get("tags", [])
    if not title.strip() or len(title) > 100 or "<" in title or ">" in title:
        refuse("invalidTitle")
    if len(description.encode()) > 5000 or "<" in description or ">" in description:
        refuse("invalidDescription")
    if sum(len(t) + 2 * (" " in t) for t in tags) + max(len(tags) - 1, 0) > 500:
        refuse("invalidTags")
    if not str(snippet.get("categoryId", "")).isdigit():
        refuse("invalidCategoryId")
    if status.get("privacyStatus", "public") not in ("public", "private", "unlisted"):
        refuse("invalidVideoMetadata")
    if "publishAt" in status and status.get("privacyStatus") != "private":
        refuse("invalidPublishAt")
