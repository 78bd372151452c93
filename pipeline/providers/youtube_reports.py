"""Daily reports of a video from the YouTube Analytics API.

YouTube needs 48 to 72 hours for a day and leaves out days it has not processed; a day it has
reported may still be corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.errors import HttpError

from pipeline.errors import Transient
from pipeline.providers.youtube_calls import NETWORK_TROUBLE, YouTubeCalls

MONETARY_SCOPE = "https://www.googleapis.com/auth/yt-analytics-monetary.readonly"
METRICS = (
    "views",
    "engagedViews",
    "estimatedMinutesWatched",
    "averageViewDuration",
    "averageViewPercentage",
    "likes",
    "shares",
    "comments",
)
REVENUE = "estimatedRevenue"


@dataclass(frozen=True, slots=True)
class DayReport:
    """A video's numbers of one day (Pacific). `revenue` is US dollars, None when not told."""

    day: date
    views: int
    watch_minutes: Decimal
    average_view_seconds: int
    average_view_percentage: Decimal
    likes: int
    shares: int
    comments: int
    revenue: Decimal | None


@dataclass(frozen=True, slots=True)
class DayReports:
    """The days YouTube has, oldest first, and its answer as it came."""

    days: tuple[DayReport, ...]
    raw: Mapping[str, Any]


async def pull_days(
    calls: YouTubeCalls, video_id: str, first: date, last: date, *, revenue: bool
) -> DayReports:
    """Read the days from `first` to `last`, both included; days without a report are left out.

    With `revenue`, a channel that may not see it (it is not in the partner programme) is asked
    again without. Raises what the table of refusals asks for.
    """
    doing = f"the daily reports of video {video_id}"

    def ask(own: AuthorizedHttp, metrics: Sequence[str]) -> Any:
        return (
            calls.analytics.reports()
            .query(
                ids="channel==MINE",
                startDate=first.isoformat(),
                endDate=last.isoformat(),
                dimensions="day",
                filters=f"video=={video_id}",
                metrics=",".join(metrics),
                sort="day",
                currency="USD",
            )
            .execute(http=own)
        )

    def ask_both(own: AuthorizedHttp) -> Any:
        if revenue:
            try:
                return ask(own, (*METRICS, REVENUE))
            except HttpError as error:
                if error.resp.status != 403:
                    raise
        return ask(own, METRICS)

    try:
        answer = await calls.in_thread(ask_both, doing)
    except NETWORK_TROUBLE as error:
        raise Transient(f"{doing}: YouTube cannot be reached") from error
    except HttpError as error:
        raise calls.failure(error, doing) from error
    try:
        names = [str(header["name"]) for header in answer["columnHeaders"]]
        rows = [dict(zip(names, row, strict=True)) for row in answer.get("rows") or ()]
        return DayReports(tuple(sorted(map(_day, rows), key=lambda day: day.day)), answer)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Transient(f"{doing}: YouTube's answer is no report") from error


def _day(row: Mapping[str, Any]) -> DayReport:
    return DayReport(
        day=date.fromisoformat(row["day"]),
        views=int(row["views"]),
        watch_minutes=Decimal(str(row["estimatedMinutesWatched"])),
        average_view_seconds=int(row["averageViewDuration"]),
        average_view_percentage=Decimal(str(row["averageViewPercentage"])),
        likes=int(row["likes"]),
        shares=int(row["shares"]),
        comments=int(row["comments"]),
        revenue=Decimal(str(row[REVENUE])) if REVENUE in row else None,
    )
