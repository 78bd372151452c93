"""Films that cost next to nothing: the narration under a still picture, by one ffmpeg.

For tests of what happens around a film. It keeps the promises of a renderer: the child dies with
its worker, files are whole or absent, a repeat makes the same.
"""

import io
from functools import cache
from pathlib import Path

import imageio_ffmpeg
from PIL import Image

from pipeline import children
from pipeline.domain import Film, RenderedFiles
from pipeline.ports import Progress
from pipeline.render import captions, files


class SmallFilms:
    """Implements `Renderer`: 640x360, two frames a second."""

    async def render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        folder.mkdir(parents=True, exist_ok=True)
        files.sweep(folder)
        cues = [cue for section in film.sections for cue in captions.group(section.words)]
        files.write(folder / "captions.srt", captions.subrip(cues))
        files.write(folder / "captions.vtt", captions.webvtt(cues))
        files.write(folder / "thumbnail.jpg", _thumbnail())
        video = folder / "video.mp4"
        if not video.exists():
            part = files.temporary(video)
            await children.run(
                [
                    imageio_ffmpeg.get_ffmpeg_exe(),
                    *("-hide_banner", "-nostdin", "-y", "-loglevel", "error"),
                    *("-f", "lavfi", "-i", f"color=c=navy:s=640x360:r=2:d={film.duration:.3f}"),
                    *("-f", "wav", "-i", f"file:{film.audio}"),
                    *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"),
                    *("-c:a", "aac", "-b:a", "64k", "-metadata", f"comment={film.seed}"),
                    *("-f", "mp4", f"file:{part}"),
                ],
                purpose="The small film",
                timeout_seconds=60,
            )
            files.keep(part, video)
        progress(1.0)
        return RenderedFiles(
            video=video,
            thumbnail=folder / "thumbnail.jpg",
            srt=folder / "captions.srt",
            vtt=folder / "captions.vtt",
            duration=film.duration,
        )


@cache
def _thumbnail() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (1280, 720), "navy").save(picture, "JPEG")
    return picture.getvalue()
