"""Whether a file of strangers is a sound clip or still: found by decoding it in a limited child.

The container is told by the first bytes and given to ffmpeg, so that a playlist, a page or a script
named .mp4 is never interpreted; no protocol but `file` is there for it.
"""

import asyncio
from pathlib import Path

from pipeline import children
from pipeline.errors import Rejected, Transient
from pipeline.footage import MediaShape

# A clip is known to be sound for as long as it was decoded; no scene needs more of it.
DECODED_SECONDS = 30.0
SHORTEST_SECONDS = 0.5
CLIP_PIXELS = 4096 * 2304
STILL_PIXELS = 64_000_000
SMALLEST_SIDE, LARGEST_SIDE = 64, 16_384
TIMEOUT_SECONDS = 120.0
_STILLS = ((b"\xff\xd8\xff", "jpeg_pipe"), (b"\x89PNG\r\n\x1a\n", "png_pipe"))
_STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"}


async def probe_media(ffmpeg: Path, file: Path) -> MediaShape:
    """What the file shows; a clip's duration is that of its first 30 seconds at most.

    Raises `Rejected` with the reason for a file that is no clip or still, cannot be decoded, is too
    short, too small or too large, and `Transient` when decoding takes too long.
    """
    container, is_video = await asyncio.to_thread(_container, file)
    pixels = CLIP_PIXELS if is_video else STILL_PIXELS
    child = await children.start(
        [
            str(ffmpeg), "-hide_banner", "-nostdin", "-v", "error", "-xerror",
            "-protocol_whitelist", "file", "-max_pixels", str(pixels), "-f", container,
            "-i", f"file:{file}", "-map", "0:v:0", "-t", str(DECODED_SECONDS),
            "-fps_mode", "passthrough", "-f", "framecrc", "-",
        ]
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            stdout, stderr = await child.communicate()
    except TimeoutError as error:
        raise Transient(f"decoding {file.name} took over {TIMEOUT_SECONDS:.0f} s") from error
    finally:
        await children.end(child)
    if child.returncode:
        said = " ".join(stderr.decode("utf-8", "replace").split())[-300:]
        raise Rejected(f"{file.name} cannot be decoded: {said or 'ffmpeg gave no reason'}")
    return _judged(file.name, stdout.decode("ascii", "replace"), is_video=is_video)


def _container(file: Path) -> tuple[str, bool]:
    """ffmpeg's name for what the first bytes begin, and whether it holds a clip."""
    with file.open("rb") as stream:
        head = stream.read(16)
    for magic, demuxer in _STILLS:
        if head.startswith(magic):
            return demuxer, False
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp_pipe", False
    if head[4:8] == b"ftyp" and head[8:12] not in _STILL_BRANDS:
        return "mov", True
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska", True
    raise Rejected(f"{file.name} is neither MP4, WebM, JPEG, PNG nor WebP")


def _judged(name: str, listing: str, *, is_video: bool) -> MediaShape:
    """From ffmpeg's list of decoded frames to the shape."""
    base, width, height, first, last, frames = 0.0, 0, 0, 0, 0, 0
    for line in listing.splitlines():
        if line.startswith("#tb 0: "):
            numerator, denominator = line.removeprefix("#tb 0: ").split("/")
            base = int(numerator) / int(denominator)
        elif line.startswith("#dimensions 0: "):
            width, height = map(int, line.removeprefix("#dimensions 0: ").split("x"))
        elif line and not line.startswith("#"):
            _, _, pts, duration, *_ = line.split(",")
            first = int(pts) if frames == 0 else first
            last = max(last, int(pts) + int(duration))
            frames += 1
    if frames == 0:
        raise Rejected(f"{name} has no picture in it")
    if min(width, height) < SMALLEST_SIDE or max(width, height) > LARGEST_SIDE:
        raise Rejected(
            f"{name} has {width}x{height} pixels; {SMALLEST_SIDE} to {LARGEST_SIDE} are usable"
        )
    if not is_video:
        return MediaShape(False, 0.0, width, height)
    seconds = min((last - first) * base, DECODED_SECONDS)
    if frames < 2 or seconds < SHORTEST_SECONDS:
        raise Rejected(f"{name} lasts {seconds:.2f} s; {SHORTEST_SECONDS} s is the least")
    return MediaShape(True, seconds, width, height)
