"""Assemble: a script and its narration become a video with its companions, stored."""

from pathlib import Path

from pipeline.domain import Artifact, ArtifactKind, Channel, Cut, Film, Narration, Script
from pipeline.errors import Rejected
from pipeline.ports import ArtifactStore, Progress, Renderer
from pipeline.stages.footage import Gathered

NO_FOOTAGE = Gathered()


async def assemble(
    script: Script,
    narration: Narration,
    *,
    channel: Channel,
    renderer: Renderer,
    store: ArtifactStore,
    scratch: Path,
    folder: str,
    seed: int,
    footage: Gathered = NO_FOOTAGE,
    progress: Progress,
) -> Cut:
    """Render the film in `scratch` and store its files below `folder` of the store.

    A repeat with the same `scratch` goes on from the segments finished there; without it, it draws
    them again. Either way the files are the same, and stored once. Raises `Rejected` when script
    and narration do not belong together.
    """
    if len(script.sections) != len(narration.sections):
        raise Rejected(
            f"The narration has {len(narration.sections)} sections, the script "
            f"{len(script.sections)}: run the voice stage again."
        )
    audio = await store.fetch(narration.audio, folder=scratch)
    film = Film(
        script=script,
        sections=narration.sections,
        audio=audio,
        duration=narration.duration,
        format=channel.format,
        channel_name=channel.name,
        seed=seed,
        footage=footage.scenes,
    )
    files = await renderer.render(film, folder=scratch, progress=progress)

    async def keep(file: Path, kind: ArtifactKind, media_type: str) -> Artifact:
        return await store.put(file, folder=folder, kind=kind, media_type=media_type)

    return Cut(
        video=await keep(files.video, ArtifactKind.VIDEO, "video/mp4"),
        thumbnail=await keep(files.thumbnail, ArtifactKind.THUMBNAIL, "image/jpeg"),
        srt=await keep(files.srt, ArtifactKind.CAPTIONS, "application/x-subrip"),
        vtt=await keep(files.vtt, ArtifactKind.CAPTIONS, "text/vtt"),
        duration=files.duration,
        format=channel.format,
        credits=footage.credits,
    )
