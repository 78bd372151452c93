"""The last stage: read back what the host made of the video, and its first numbers."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.domain import Statistics, Visibility
from pipeline.errors import Deferred, Rejected, Transient
from pipeline.hosting import HostedVideo, Publication
from pipeline.ports import VideoStatistics

# A long film takes hours: each look costs a unit of quota, and none an attempt.
PROCESSING_PAUSE = timedelta(minutes=2)
VISIBILITY_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """How the video stands at its host, and its counters."""

    hosted: HostedVideo
    statistics: Statistics


async def measure(
    publication: Publication,
    *,
    statistics: VideoStatistics,
    visibility: Visibility,
    publish_at: datetime | None,
    now: datetime,
) -> Measured:
    """Read the video back; a scheduled one (`publish_at`) may still be private.

    Raises `Rejected` with the host's reason when it refused the video, `Deferred` while it is being
    processed, `Transient` when it is not yet as visible as it was made.
    """
    hosted = await statistics.inspect(publication.video_id)
    if hosted.problem is not None:
        raise Rejected(
            f"the host refused video {publication.video_id}: {hosted.problem}",
            trouble=hosted.trouble,
        )
    if not hosted.processed:
        raise Deferred(
            f"the host is still processing video {publication.video_id}",
            until=now + PROCESSING_PAUSE,
        )
    scheduled = publish_at is not None and hosted.visibility is Visibility.PRIVATE
    if hosted.visibility is not visibility and not scheduled:
        raise Transient(
            f"video {publication.video_id} is {hosted.visibility} at the host, not {visibility};"
            " if this stays so, set it at the host by hand",
            retry_after=VISIBILITY_RETRY_SECONDS,
        )
    return Measured(hosted, await statistics.statistics(publication.video_id))
