"""What ffmpeg is told: every argument list of the renderer stands here.

Lists, never a shell; generated file names; explicit formats; only local files may be opened.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.render.plan import Look

AUDIO_RATE = 48_000


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How to render. Whatever changes pixels is part of every segment's address.

    `processes` draw and encode side by side, each encoder with `encoder_threads`. Loudness is
    in LUFS, true peak in dBTP, both of the finished file. A drawing process that does nothing for
    `stall_seconds`, or takes `segment_wall_seconds` for one segment, is killed.
    """

    ffmpeg: Path
    preset: str = "veryfast"
    crf: int = 20
    processes: int = 2
    encoder_threads: int = 1
    segment_seconds: float = 5.0
    loudness: float = -14.0
    true_peak: float = -1.0
    audio_kilobits: int = 192
    stall_seconds: float = 120.0
    segment_wall_seconds: float = 900.0


def options_to(options: RenderOptions) -> dict[str, Any]:
    """Options as JSON can hold them."""
    return {
        f.name: str(v) if isinstance(v := getattr(options, f.name), Path) else v
        for f in fields(options)
    }


def options_from(values: dict[str, Any]) -> RenderOptions:
    """The opposite of `options_to`."""
    return RenderOptions(**{**values, "ffmpeg": Path(values["ffmpeg"])})


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """Which frames of a clip to decode: from `first` on, counted as the film's frames are.

    `matrix` is the clip's own colour matrix, `container` ffmpeg's name for what the file is.
    """

    clip: Path
    container: str
    matrix: str
    first: int
    stretch: float
    focus: tuple[float, float]
    width: int
    height: int
    fps: int


def _start(ffmpeg: Path, protocols: str = "file,pipe") -> list[str]:
    return [str(ffmpeg), "-hide_banner", "-nostdin", "-y", "-protocol_whitelist", protocols]


def _local(path: Path) -> str:
    """A path that ffmpeg cannot take for an option or a protocol."""
    return f"file:{path.absolute()}"


def encode_segment(options: RenderOptions, look: Look, target: Path) -> list[str]:
    """Raw I420 frames on stdin to an H.264 file that starts with a key frame.

    The same list for every segment of a film, so that segments join without being decoded.
    """
    colours = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"]
    return [
        *_start(options.ffmpeg),
        *("-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{look.width}x{look.height}"),
        *("-framerate", str(look.fps), "-color_range", "tv", *colours),
        *("-i", "pipe:0", "-an"),
        *("-c:v", "libx264", "-preset", options.preset, "-crf", str(options.crf)),
        *("-pix_fmt", "yuv420p", "-threads", str(options.encoder_threads)),
        *("-g", str(look.fps * 5), "-x264-params", "aq-mode=3:aq-strength=0.9"),
        *("-color_range", "tv", *colours),
        *("-fflags", "+bitexact", "-flags:v", "+bitexact"),
        *("-video_track_timescale", str(look.fps * 512), "-f", "mp4", _local(target)),
    ]


def join(options: RenderOptions, look: Look, listing: Path, sound: Path, target: Path) -> list[str]:
    """Segments and sound to one file, copied as they are, its index in front."""
    return [
        *_start(options.ffmpeg),
        *("-loglevel", "error"),
        *("-f", "concat", "-safe", "1", "-i", _local(listing)),
        *("-f", "mp4", "-i", _local(sound)),
        *("-map", "0:v:0", "-map", "1:a:0", "-c", "copy", "-map_metadata", "-1"),
        *("-metadata", f"title={look.title}", "-metadata", f"artist={look.channel}"),
        *("-fflags", "+bitexact", "-movflags", "+faststart"),
        *("-video_track_timescale", str(look.fps * 512), "-f", "mp4", _local(target)),
    ]


def measure_loudness(options: RenderOptions, sound: Path, container: str) -> list[str]:
    """Sound to a report of its loudness as stereo (EBU R 128), on stderr."""
    return [
        *_start(options.ffmpeg),
        *("-loglevel", "info", "-nostats", "-f", container, "-i", _local(sound), "-vn"),
        *("-af", "aformat=channel_layouts=stereo,ebur128=peak=true:framelog=quiet"),
        *("-f", "null", "-"),
    ]


def encode_sound(
    options: RenderOptions,
    narration: Path,
    target: Path,
    *,
    samples: int,
    gain: float,
    ceiling: float,
) -> list[str]:
    """The narration, `gain` dB louder, held below `ceiling` dB, as `samples` of AAC stereo.

    Peaks between samples are caught by limiting at four times the rate.
    """
    chain = ",".join(
        (
            "aformat=channel_layouts=stereo",
            f"volume={gain:.3f}dB:precision=double",
            f"aresample={AUDIO_RATE * 4}",
            f"alimiter=limit={10 ** (ceiling / 20):.6f}:attack=2:release=60:level=0:latency=1",
            f"aresample={AUDIO_RATE}",
            f"apad=whole_len={samples}",
            f"atrim=end_sample={samples}",
        )
    )
    return [
        *_start(options.ffmpeg),
        *("-loglevel", "error", "-f", "wav", "-i", _local(narration), "-vn", "-af", chain),
        *("-c:a", "aac", "-b:a", f"{options.audio_kilobits}k", "-ar", str(AUDIO_RATE), "-ac", "2"),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"),
        *("-f", "mp4", _local(target)),
    ]


def list_packets(options: RenderOptions, media: Path) -> list[str]:
    """A file's streams on stderr and its packets, with their times, on stdout."""
    return [
        *_start(options.ffmpeg),
        *("-loglevel", "info", "-nostats", "-f", "mp4", "-i", _local(media)),
        *("-map", "0", "-c", "copy", "-f", "framecrc", "-"),
    ]


MOST_CLIP_PIXELS = 8192 * 4608
"""Frames above this are not decoded."""
# Keeps the moments of a clip's frames clear of halfway between two of the film's, whichever of the
# usual rates it has: there a microsecond would decide which of them is seen.
_PHASE = 0.07


def decode_clip(ffmpeg: Path, request: ClipRequest) -> list[str]:
    """A clip as raw I420 frames on stdout that fill the film's frame, at its rate, until it ends.

    What does not fit is cut off around the focus; rotation and oblong pixels are made good.
    """
    r = request
    aspect, (x, y) = f"{r.width}/{r.height}", r.focus
    crop = (
        f"crop=w='min(iw,ih*{aspect}/sar)':h='min(ih,iw*sar*{r.height}/{r.width})'"
        f":x='clip({x:.4f}*iw-ow/2,0,iw-ow)':y='clip({y:.4f}*ih-oh/2,0,ih-oh)'"
    )
    matrices = f"in_color_matrix={r.matrix}:out_color_matrix=bt709:out_range=tv"
    chain = ",".join(
        (
            f"setpts=PTS*{r.stretch:.6f}+{_PHASE / r.fps:.6f}/TB",
            f"fps={r.fps}:start_time=0",
            crop,
            f"scale={r.width}:{r.height}:flags=bicubic:{matrices}",
            "setsar=1",
            "format=yuv420p",
        )
    )
    return [
        *_start(ffmpeg, "file"),
        *("-loglevel", "error", "-max_pixels", str(MOST_CLIP_PIXELS), "-threads", "1"),
        *("-ss", f"{r.first / r.fps / r.stretch:.6f}", "-f", r.container, "-i", _local(r.clip)),
        *("-map", "0:v:0", "-an", "-sn", "-dn", "-filter_threads", "1", "-vf", chain),
        *("-threads", "1", "-c:v", "rawvideo", "-f", "rawvideo", "pipe:1"),
    ]


def describe_clip(ffmpeg: Path, clip: Path, container: str) -> list[str]:
    """A clip's streams on stderr; ffmpeg then ends with an error, for it has nothing to do."""
    limit = ("-max_pixels", str(MOST_CLIP_PIXELS), "-threads", "1")
    return [*_start(ffmpeg, "file"), *limit, "-f", container, "-i", _local(clip)]
