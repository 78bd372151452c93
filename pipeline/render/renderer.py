"""The renderer: plans a film, has its segments drawn side by side, joins them with the sound."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import structlog

from pipeline import children
from pipeline.domain import Film, RenderedFiles
from pipeline.errors import Rejected, Transient
from pipeline.ports import Progress
from pipeline.render import captions, files, sound
from pipeline.render.encoder import RenderOptions, join, options_to
from pipeline.render.plan import Plan, plan_film
from pipeline.render.probe import probe
from pipeline.render.segments import Segment, address, engine_version, segments_of

JOIN_TIMEOUT_SECONDS = 1800.0
FASTEST_PRESET = "ultrafast"
log = structlog.get_logger()
_DRAWING_SHARE = 0.95
"""How much of the progress is drawing; joining and checking are the rest."""


class FilmRenderer:
    """Draws and mixes films; see `pipeline.ports.Renderer`.

    The folder of a film belongs to one render at a time. Finished segments and sound stay there
    under the hash of what they show, so that a repeat draws only what is missing.
    """

    def __init__(self, options: RenderOptions) -> None:
        self._options = options

    async def render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        """Write `video.mp4`, `thumbnail.jpg`, `captions.srt` and `captions.vtt`.

        When a child takes too long, all are killed and the film is made once more, encoded with
        less effort; a second time is `Transient`.
        """
        try:
            return await self._render(film, folder=folder, progress=progress)
        except children.TooSlow as error:
            if self._options.preset == FASTEST_PRESET:
                raise
            log.warning("render.repeated_faster", preset=FASTEST_PRESET, reason=str(error))
            faster = FilmRenderer(replace(self._options, preset=FASTEST_PRESET))
            return await faster.render(film, folder=folder, progress=progress)

    async def _render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        folder.mkdir(parents=True, exist_ok=True)
        plan, segments, sound_file = await asyncio.to_thread(self._prepare, film, folder)
        seconds = plan.look.frames / plan.look.fps
        thumbnail = folder / "thumbnail.jpg"
        await _together(
            self._mix(film.audio, sound_file, seconds),
            self._draw(plan, segments, folder, film.script.thumbnail_text, progress),
        )
        video = folder / "video.mp4"
        await self._join(plan, segments, sound_file, video)
        progress(1.0)
        return RenderedFiles(
            video=video,
            thumbnail=thumbnail,
            srt=folder / "captions.srt",
            vtt=folder / "captions.vtt",
            duration=seconds,
        )

    def _prepare(self, film: Film, folder: Path) -> tuple[Plan, tuple[Segment, ...], Path]:
        """What needs no child: the plan, the captions, the names of the parts."""
        files.sweep(folder)
        plan = plan_film(film)
        files.write(folder / "plan.json", plan.model_dump_json())
        cues = [cue for section in film.sections for cue in captions.group(section.words)]
        files.write(folder / "captions.srt", captions.subrip(cues))
        files.write(folder / "captions.vtt", captions.webvtt(cues))
        narration = hashlib.sha256(film.audio.read_bytes()).hexdigest()
        key = address(engine_version(), options_to(self._options), narration, plan.look.frames)
        return plan, segments_of(plan, self._options), folder / f"sound-{key}.m4a"

    async def _mix(self, narration: Path, target: Path, seconds: float) -> None:
        if not target.exists():
            await sound.build(self._options, narration, target, seconds=seconds)

    async def _draw(
        self,
        plan: Plan,
        segments: Sequence[Segment],
        folder: Path,
        thumbnail_text: str,
        progress: Progress,
    ) -> None:
        """Have everything drawn that is not there yet, by several processes side by side."""
        missing = [s for s in segments if not await self._is_whole(folder / s.name, s)]
        drawn = plan.look.frames - sum(segment.frames for segment in missing)

        def report(frames: int) -> None:
            nonlocal drawn
            drawn += frames
            progress(min(1.0, drawn / plan.look.frames) * _DRAWING_SHARE)

        report(0)
        requests: list[dict[str, Any]] = [
            {"kind": "segment", "target": str(folder / s.name), "first": s.first, "last": s.last}
            for s in sorted(missing, key=lambda s: -s.frames)  # long ones first: even finish
        ]
        target = str(folder / "thumbnail.jpg")
        requests.append({"kind": "thumbnail", "target": target, "text": thumbnail_text})
        requests.reverse()
        processes = min(self._options.processes, len(requests))
        await _together(
            *(self._serve(folder / "plan.json", requests, report) for _ in range(processes))
        )

    async def _serve(
        self, plan: Path, requests: list[dict[str, Any]], report: Callable[[int], None]
    ) -> None:
        """Feed one drawing process requests until there are none left."""
        artist = await children.start(
            [sys.executable, "-I", "-m", "pipeline.render.artist"], stdin=True
        )
        try:
            await _send(artist, {"plan": str(plan), "options": options_to(self._options)})
            while requests:
                request = requests.pop()
                async with asyncio.timeout(self._options.segment_wall_seconds):
                    await self._request(artist, request, report)
        except TimeoutError as error:
            waited = f"{self._options.segment_wall_seconds:.0f} s"
            raise children.TooSlow(f"A segment was not drawn after {waited}; killed.") from error
        finally:
            await children.end(artist)

    async def _request(
        self,
        artist: asyncio.subprocess.Process,
        request: dict[str, Any],
        report: Callable[[int], None],
    ) -> None:
        """Have one thing drawn, and report its frames."""
        await _send(artist, request)
        left = request.get("last", 0) - request.get("first", 0)
        while "done" not in (message := await self._answer(artist)):
            left -= message["frames"]
            report(message["frames"])
        report(max(0, left))

    async def _answer(self, artist: asyncio.subprocess.Process) -> dict[str, Any]:
        if artist.stdout is None or artist.stderr is None:
            raise Transient("The drawing process has no pipes.")
        try:
            async with asyncio.timeout(self._options.stall_seconds):
                line = await artist.stdout.readline()
        except TimeoutError as error:
            waited = f"{self._options.stall_seconds:.0f} s"
            told = f"The drawing process did nothing for {waited}; killed."
            raise children.TooSlow(told) from error
        if not line:
            said = (await artist.stderr.read()).decode("utf-8", "replace")
            code = await artist.wait()
            raise Transient(children.failure("The drawing process ended", code, said))
        message: dict[str, Any] = json.loads(line)
        if "rejected" in message:
            raise Rejected(f"{message['rejected']} Find other footage for its section.")
        return message

    async def _is_whole(self, file: Path, segment: Segment) -> bool:
        """True when a finished segment is there and really holds its frames."""
        if not file.exists():
            return False
        try:
            streams = await probe(self._options, file)
        except Transient:
            streams = ()
        if len(streams) == 1 and streams[0].packets == segment.frames:
            return True
        file.unlink()  # damaged on disk: drawn anew
        return False

    async def _join(
        self, plan: Plan, segments: Sequence[Segment], sound_file: Path, video: Path
    ) -> None:
        """Join, check, and only then give the file its name."""
        listing = video.with_name("segments.txt")
        # Each length is stated: the MP4's own is in whole milliseconds, which would add up.
        lengths = ((s.name, Fraction(s.frames, plan.look.fps)) for s in segments)
        entries = (f"file '{name}'\nduration {float(seconds):.6f}\n" for name, seconds in lengths)
        files.write(listing, "".join(entries))
        part = files.temporary(video)
        await children.run(
            join(self._options, plan.look, listing, sound_file, part),
            purpose="Joining the segments",
            timeout_seconds=JOIN_TIMEOUT_SECONDS,
        )
        await self._check(plan, part)
        await asyncio.to_thread(files.keep, part, video)

    async def _check(self, plan: Plan, file: Path) -> None:
        streams = await probe(self._options, file)
        look = plan.look
        if [stream.kind for stream in streams] != ["Video", "Audio"]:
            raise Transient(f"The joined film has the streams {streams}: render it again.")
        picture, heard = streams
        facts = {
            f"{look.frames} frames": picture.packets == look.frames and picture.regular,
            "h264 yuv420p": "h264" in picture.description and "yuv420p(" in picture.description,
            f"{look.width}x{look.height}": f" {look.width}x{look.height}" in picture.description,
            "aac 48000 Hz stereo": "aac" in heard.description
            and "48000 Hz, stereo" in heard.description,
            "sound as long as picture": abs(picture.end - heard.end) <= 1 / look.fps,
        }
        wrong = [fact for fact, holds in facts.items() if not holds]
        if wrong:
            raise Transient(
                f"The joined film lacks: {', '.join(wrong)} (picture {picture}, sound {heard}); "
                "delete its folder and render it again."
            )


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side; the first failure cancels the others and is raised itself.

    A group of errors would tell the queue nothing: it goes by the error's class.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


async def _send(artist: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
    if artist.stdin is None:
        raise Transient("The drawing process has no pipes.")
    try:
        artist.stdin.write(json.dumps(message).encode() + b"\n")
        await artist.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        # It has died; what it said is read, and raised, by whoever waits for its answer.
        return
