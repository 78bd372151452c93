"""The page of the local host: everything public, playable from the file system, without a network.

One self-contained file. Captions are embedded, since a browser refuses to load them from beside a
page that was itself opened from a folder.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from pipeline.domain import Visibility
from pipeline.providers.durable import write_durably
from pipeline.providers.host_records import ChannelFolder, Video, locked

_PAGE = Template(Path(__file__).with_name("host_page.html").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A public video with its place and its channel's name."""

    folder: ChannelFolder
    channel: str
    video: Video


def write_page(root: Path) -> None:
    """Write `index.html` anew from what is public now."""
    # Under a lock of its own: of two writers at once, the later one must have read last.
    with locked(root / ".index.lock"):
        shown = sorted(_public(root), key=lambda s: s.video.published_at or s.video.uploaded_at)
        cards = "\n".join(_card(root, entry) for entry in reversed(shown))
        count = f"{len(shown)} video{'' if len(shown) == 1 else 's'}"
        page = _PAGE.substitute(
            count=count, cards=cards or '<p class="empty">Nothing is published yet.</p>'
        )
        write_durably(root / "index.html", page.encode())


def _public(root: Path) -> Iterator[_Shown]:
    for file in sorted(root.glob("*/channel.json")):
        folder = ChannelFolder(root, file.parent.name)
        owner = folder.owner
        for video in folder.videos():
            if video.visibility is Visibility.PUBLIC and owner is not None:
                yield _Shown(folder, owner.name, video)


def _card(root: Path, entry: _Shown) -> str:
    video, folder = entry.video, entry.folder
    files = folder.public_files(video)
    film = folder.published / f"{video.name}.mp4"
    poster = f"{video.name}.jpg"
    poster_at = f' poster="{_address(root, folder.published / poster)}"' if poster in files else ""
    published = video.published_at or video.uploaded_at
    seconds = film_seconds(film)
    length = f'<span class="length">{_clock(seconds)}</span>' if seconds else ""
    tracks = "".join(
        _track(path, default=path.name == f"captions.{video.language}.vtt")
        for name, path in files.items()
        if name.endswith(".vtt")
    )
    blurb = video.description.split("\n", 1)[0]
    return f"""<article>
<div class="screen"><video controls preload="metadata"{poster_at} playsinline>
<source src="{_address(root, film)}" type="video/mp4">{tracks}</video>{length}</div>
<h2 dir="auto">{escape(video.title)}</h2>
<p class="by"><b dir="auto">{escape(entry.channel)}</b>
<time datetime="{published.isoformat()}">{published:%d %B %Y}</time></p>
<p class="blurb" dir="auto">{escape(blurb)}</p>
</article>"""


def _track(file: Path, *, default: bool) -> str:
    language = file.name.split(".")[1]
    content = base64.b64encode(file.read_bytes()).decode()
    return (
        f'<track kind="captions" srclang="{escape(language)}" label="{escape(language)}"'
        f' src="data:text/vtt;base64,{content}"{" default" if default else ""}>'
    )


def _address(root: Path, file: Path) -> str:
    return escape(quote(file.relative_to(root).as_posix()))


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def film_seconds(file: Path) -> float | None:
    """The duration that an MP4 states in its `mvhd` box; None when it is no MP4 or states none."""
    try:
        with file.open("rb") as stream:
            end = file.stat().st_size
            position = 0
            while position + 8 <= end:
                stream.seek(position)
                header = stream.read(16)
                size, kind = int.from_bytes(header[:4]), header[4:8]
                body = 8
                if size == 1:
                    size, body = int.from_bytes(header[8:16]), 16
                if size == 0:
                    size = end - position
                if size < body:
                    return None
                if kind == b"moov":  # its boxes follow: go in
                    position += body
                    continue
                if kind == b"mvhd":
                    stream.seek(position + body)
                    return _movie_header(stream.read(32))
                position += size
    except OSError:
        return None
    return None


def _movie_header(box: bytes) -> float | None:
    wide = box[:1] == b"\x01"
    scale = int.from_bytes(box[20:24] if wide else box[12:16])
    length = int.from_bytes(box[24:32] if wide else box[16:20])
    return length / scale if scale else None
