"""The fifth stage: put the film on its own channel, once, whatever happens in between.

The order is the promise: the owner is checked before the first byte, the session is kept before
the first byte, the video's id is kept before anybody may see it, exactly that id is published, and
that it was is kept before anything else is asked of the host.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.domain import Channel, Cut, Script, Visibility
from pipeline.errors import Rejected, Transient
from pipeline.hosting import Extra, Publication, UploadDraft, UploadRecord
from pipeline.ports import ArtifactStore, Progress, UploadJournal, VideoHost
from pipeline.stages.extras import extras_of
from pipeline.stages.metadata import check_metadata, credited, marked


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Where the film is now, and what goes with it; see `pipeline.stages.extras`."""

    publication: Publication
    extras: tuple[Extra, ...] = ()


class WrongChannel(Rejected):
    """The credential belongs to another channel than the run's: nothing more is done with it."""


async def publish_video(
    cut: Cut,
    script: Script,
    *,
    channel: Channel,
    expected_channel_id: str,
    host: VideoHost,
    journal: UploadJournal,
    store: ArtifactStore,
    scratch: Path,
    visibility: Visibility,
    publish_at: datetime | None,
    progress: Progress,
) -> Uploaded:
    """Upload private, and publish exactly that video.

    A repeat goes on where the journal says the last attempt was: it resumes the session, or finds
    the video by its marker before it would insert another. Raises `WrongChannel`, and `LostClaim`
    from the journal.
    """
    owner = await host.owner()
    if owner != expected_channel_id:
        raise WrongChannel(
            f"wrong channel: the account uploads to {owner}, but channel {channel.name!r} is"
            f" {expected_channel_id}; nothing was sent. Give the channel an account of its own"
            " with `ytempire account add --channel`"
        )
    record = await journal.begin(cut.video.sha256, cut.video.size_bytes)
    video_id = record.video_id
    if video_id is None:
        draft = _draft(cut, script, channel, record.marker)
        video_id = await _bring(cut, draft, record, host, journal, store, scratch, progress)
        await journal.uploaded(video_id)
    publication = await host.publish(video_id, visibility, publish_at)
    if publication.channel_id != expected_channel_id:
        raise WrongChannel(
            f"video {video_id} is on channel {publication.channel_id}, not on"
            f" {expected_channel_id} of channel {channel.name!r}: take it down there"
        )
    await journal.published(publication)
    return Uploaded(publication, extras_of(channel))


def _draft(cut: Cut, script: Script, channel: Channel, marker: str) -> UploadDraft:
    told = credited(script.description, cut.credits, script.language)
    description, tags = marked(told, script.tags, marker)
    check_metadata(script.title, description, tags)
    return UploadDraft(
        title=script.title,
        description=description,
        tags=tags,
        language=script.language,
        category_id=channel.category_id,
        made_for_kids=False,
        synthetic_media=True,  # the voice always is
        marker=marker,
        size_bytes=cut.video.size_bytes,
        sha256=cut.video.sha256,
    )


async def _bring(
    cut: Cut,
    draft: UploadDraft,
    record: UploadRecord,
    host: VideoHost,
    journal: UploadJournal,
    store: ArtifactStore,
    scratch: Path,
    progress: Progress,
) -> str:
    """The id of the uploaded video: sent on, found, or inserted, in this order of preference."""
    video = await store.fetch(cut.video, folder=scratch)
    if record.session_uri is not None:
        sent = await host.send(record.session_uri, video, progress=progress)
        if sent is not None:
            return sent
    # Only an attempt for which nothing was ever sent can do without the look-up: any other may
    # have ended at the host without our hearing of it.
    if not record.fresh:
        found = await host.find(draft.marker)
        if found is not None:
            return found
    session_uri = await host.open_upload(draft)
    await journal.session_opened(session_uri)
    sent = await host.send(session_uri, video, progress=progress)
    if sent is None:
        sent = await host.find(draft.marker)
    if sent is None:
        raise Transient(
            f"the host forgot the upload session of {draft.title!r} while it was used, and has no"
            f" video marked {draft.marker}; the next attempt looks again before it inserts"
        )
    return sent
