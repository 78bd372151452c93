"""Clips behind a scene: decoded by ffmpeg children that deliver ready planes, frame after frame.

Runs in a drawing process, whose main thread starts the decoders: they die with it. A decoder is
started at the first frame asked for and serves the ones that follow; any other frame starts another
one. Which picture a frame shows does not depend on where decoding began.
"""

import math
import re
import select
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import IO

import cv2

from pipeline import children
from pipeline.render.easing import in_out_sine
from pipeline.render.encoder import ClipRequest, decode_clip, describe_clip
from pipeline.render.placement import Picture
from pipeline.render.plan import Look
from pipeline.render.planes import Frame

STALL_SECONDS = 60.0
PREROLL_SECONDS = 0.25
"""Decoded in front of the first frame wanted, for what is seen there may have begun before it."""
_LIMITS = children.Limits(address_space_bytes=4 * 2**30, cpu_seconds=1800, file_bytes=2**24)
_STREAM = re.compile(r"^  Stream #0:\d+\S*: Video: (.*)$", re.MULTILINE)
_SIZE = re.compile(r"(?<= )([1-9]\d*)x([1-9]\d*)\b")  # not the codec's tag, 0x31637661
_MATRICES = {"bt709": "bt709", "bt2020nc": "bt2020", "smpte170m": "smpte170m", "bt470bg": "bt470bg"}


class Undecodable(Exception):
    """A clip or still cannot be shown, now or later; says which and why."""


class Clip:
    """A clip as the frames of its scene, counted from the scene's first."""

    def __init__(self, picture: Picture, look: Look, ffmpeg: Path) -> None:
        self._picture, self._look, self._ffmpeg = picture, look, ffmpeg
        self._rounds: dict[int, _Decoder] = {}
        self._below = Frame(look.width, look.height)

    def draw(self, frame: Frame, k: int) -> None:
        """Fill a frame with the scene's frame k. Raises `Undecodable`, or `OSError` on a stall."""
        picture = self._picture
        turn, place = divmod(k, picture.period) if picture.period else (0, k)
        overlapping = turn > 0 and place < picture.overlap
        for old in [t for t in self._rounds if not turn - overlapping <= t <= turn]:
            self._rounds.pop(old).close()
        self._read(turn, place, frame)
        if overlapping:
            self._read(turn - 1, picture.period + place, self._below)
            share = in_out_sine((place + 0.5) / picture.overlap)
            cv2.addWeighted(frame.buffer, share, self._below.buffer, 1 - share, 0, frame.buffer)

    def close(self) -> None:
        """End the decoders; drawing starts new ones."""
        while self._rounds:
            self._rounds.popitem()[1].close()

    def _read(self, turn: int, place: int, frame: Frame) -> None:
        place = min(place, self._picture.frames - 1)
        decoder = self._rounds.get(turn)
        if decoder is None or not decoder.at <= place <= decoder.at + 1:
            if decoder is not None:
                decoder.close()
            decoder = self._rounds[turn] = self._open(place)
        decoder.go_to(place)
        frame.buffer[:] = decoder.frame.buffer

    def _open(self, place: int) -> "_Decoder":
        """A decoder that stands at a frame, or at the clip's last one when it ends before."""
        fps, said = self._look.fps, ""
        for before in (math.ceil(PREROLL_SECONDS * fps), 3 * fps, place):
            request = self._request(max(0, place - before))
            decoder = _Decoder(request, self._ffmpeg)
            try:
                decoder.go_to(place)
            except BaseException:
                decoder.close()
                raise
            if decoder.at >= 0:
                return decoder
            said = decoder.said()
            decoder.close()
            if request.first == 0:
                break
        name = Path(self._picture.path).name
        raise Undecodable(f"The clip {name} has no picture that can be decoded.{said}")

    def _request(self, first: int) -> ClipRequest:
        path, look = Path(self._picture.path), self._look
        container = container_of(path)
        return ClipRequest(
            clip=path,
            container=container,
            matrix=_matrix(self._ffmpeg, path, container),
            first=first,
            stretch=self._picture.stretch,
            focus=self._picture.focus,
            width=look.width,
            height=look.height,
            fps=look.fps,
        )


class _Decoder:
    """One ffmpeg child; `frame` is the one at `at`, -1 before the first."""

    def __init__(self, request: ClipRequest, ffmpeg: Path) -> None:
        self.at = -1
        self.frame = Frame(request.width, request.height)
        self._next, self._ended = request.first, False
        self._name = request.clip.name
        # A file, not a pipe: a broken clip says more than a pipe holds while nobody reads it.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._child = subprocess.Popen(
            children.command(decode_clip(ffmpeg, request), _LIMITS),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=children.ENVIRONMENT,
            bufsize=0,
        )

    def go_to(self, place: int) -> None:
        """Decode up to a frame; when the clip ends before, its last one stays."""
        while self._next <= place and not self._ended:
            if self._fill():
                self.at, self._next = self._next, self._next + 1
            else:
                self._ended = True
                self._check_end()
        if self._ended and self.at >= 0:
            self.at = place

    def said(self) -> str:
        """The end of what ffmpeg wrote, on a line of its own."""
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()[-500:]
        return f"\n{text}" if text else ""

    def close(self) -> None:
        """Kill and reap the child."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._errors.close()

    def _fill(self) -> bool:
        """Read one whole frame; False at the end. The frame before stays until then."""
        pipe = self._child.stdout
        if pipe is None:
            raise OSError("the decoder has no pipe")
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        deadline = time.monotonic() + STALL_SECONDS
        spare = Frame(self.frame.width, self.frame.height)
        view, got = memoryview(spare.buffer.data).cast("B"), 0
        while got < len(view):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise OSError(f"decoding the clip {self._name} stood still for {STALL_SECONDS} s")
            count = pipe.readinto(view[got:])  # type: ignore[attr-defined]
            if not count:
                return False
            got += count
        self.frame = spare
        return True

    def _check_end(self) -> None:
        """A decoder that failed is the clip's fault, one that was killed is not."""
        code = self._child.wait()
        if code > 0:
            raise Undecodable(f"The clip {self._name} cannot be decoded.{self.said()}")
        if code < 0:
            raise OSError(children.failure(f"decoding the clip {self._name}", code, self.said()))


def container_of(clip: Path) -> str:
    """What a file is by its first bytes, as ffmpeg calls it.

    ffmpeg would also guess playlists, which name other files: only these two are opened.
    """
    with clip.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    raise Undecodable(f"The clip {clip.name} is neither MP4, QuickTime, Matroska nor WebM.")


@lru_cache(maxsize=64)
def _matrix(ffmpeg: Path, clip: Path, container: str) -> str:
    """The colour matrix of a clip; where it does not say, what its size is usually made with."""
    answer = subprocess.run(
        children.command(describe_clip(ffmpeg, clip, container), _LIMITS),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=children.ENVIRONMENT,
        timeout=STALL_SECONDS,
        check=False,
    )
    report = answer.stderr.decode("utf-8", "replace")
    stream = _STREAM.search(report)
    if stream is None:
        raise Undecodable(f"The clip {clip.name} has no picture: {report.strip()[-300:]}")
    for word in re.split(r"[(),/\s]+", stream.group(1)):
        if word in _MATRICES:
            return _MATRICES[word]
    size = _SIZE.search(stream.group(1))
    return "bt709" if size and min(map(int, size.groups())) >= 720 else "smpte170m"
