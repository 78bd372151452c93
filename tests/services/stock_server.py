"""Pexels and Pixabay on this machine, with what they refuse, and real files to download."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imageio_ffmpeg import get_ffmpeg_exe

from tests.services.local_http import LocalServer, Reply, Request, as_json

PEXELS_KEY, PIXABAY_KEY = "pexels-hush-hush", "12345-pixabay-hush-hush"


def draw_clip(file: Path, *, seconds: float = 2.0, size: str = "640x360") -> Path:
    """A real clip with moving pictures in it."""
    _ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=10:duration={seconds}",
            "-pix_fmt", "yuv420p", str(file))  # fmt: skip
    return file


def draw_still(file: Path, *, size: str = "800x450") -> Path:
    """A real picture."""
    _ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:duration=1", "-frames:v", "1", str(file))
    return file


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


class StockServer(LocalServer):
    """Both libraries on one port. `words` are what they have footage of; `files` maps a path below
    /files/ to its content and type."""

    def __init__(self, clip: bytes, still: bytes) -> None:
        super().__init__()
        self.files: dict[str, tuple[bytes, str]] = {
            "clip.mp4": (clip, "video/mp4"),
            "still.jpg": (still, "image/jpeg"),
        }
        self.words = {"octopus", "reef"}
        self.clips = [7, 8, 9]
        self.photos = [70, 71]
        self.clip_seconds = 12
        self.limits: Mapping[str, str] = {"X_RateLimit_Limit": "200", "X_RateLimit_Remaining": "9"}

    def searches(self) -> list[Request]:
        return [request for request in self.journal if not request.path.startswith("/files/")]

    def downloads(self) -> list[str]:
        return [path for path in self.paths() if path.startswith("/files/")]

    def answer(self, request: Request) -> Reply:
        match request.path:
            case "/v1/videos/search" | "/v1/search":
                return self._pexels(request)
            case "/api/" | "/api/videos/":
                return self._pixabay(request)
        name = request.path.removeprefix("/files/").split("/")[-1]
        if name in self.files:
            body, media_type = self.files[name]
            return Reply(200, body, media_type)
        return Reply(404, b"not found", "text/plain")

    def _known(self, query: str) -> bool:
        return bool(self.words & set(query.split()))

    def _pexels(self, request: Request) -> Reply:
        if request.headers.get("authorization") != PEXELS_KEY:
            return as_json({"status": 401, "code": "Unauthorized"}, 401)
        query = request.query
        if not query.get("query") or not 1 <= int(query.get("per_page", "15")) <= 80:
            return as_json({"status": 400, "code": "Bad Request"}, 400)
        if query.get("orientation", "landscape") not in {"landscape", "portrait", "square"}:
            return as_json({"status": 400, "code": "Bad Request"}, 400)
        known = self._known(query["query"])
        if request.path == "/v1/videos/search":
            found = [self._pexels_clip(number) for number in self.clips] if known else []
            return as_json({"page": 1, "videos": found, "total_results": len(found)}, **self.limits)
        photos = [
            {
                "id": number, "width": 800, "height": 450,
                "url": f"https://www.pexels.com/photo/{number}/",
                "photographer": "Ada <b>Lens</b>", "photographer_url": "https://www.pexels.com/@a",
                "src": {"original": f"{self.root}/files/{number}/original.jpg",
                        "large2x": f"{self.root}/files/{number}/still.jpg"},
            }
            for number in (self.photos if known else [])
        ]  # fmt: skip
        return as_json({"page": 1, "photos": photos, "total_results": len(photos)}, **self.limits)

    def _pexels_clip(self, number: int) -> dict[str, Any]:
        sizes = [(320, 180), (640, 360), (1920, 1080), (7680, 4320)]
        return {
            "id": number, "width": 1920, "height": 1080, "duration": self.clip_seconds,
            "url": f"https://www.pexels.com/video/{number}/",
            "user": {"id": 1, "name": "Jo Reef", "url": "https://www.pexels.com/@jo"},
            "video_files": [
                {"id": width, "quality": "hd", "file_type": "video/mp4", "width": width,
                 "height": height, "fps": 25.0,
                 "link": f"{self.root}/files/{number}-{height}/clip.mp4"}
                for width, height in sizes
            ],
        }  # fmt: skip

    def _pixabay(self, request: Request) -> Reply:
        query = request.query
        if query.get("key") != PIXABAY_KEY:
            return Reply(400, b"[ERROR 400] Invalid or missing API key", "text/html")
        if len(query.get("q", "")) > 100 or not 3 <= int(query.get("per_page", "20")) <= 200:
            return Reply(400, b"[ERROR 400] out of valid range", "text/html")
        known = self._known(query.get("q", ""))
        if request.path == "/api/videos/":
            hits = [self._pixabay_clip(number) for number in self.clips] if known else []
        else:
            hits = [
                {"id": number, "pageURL": f"https://pixabay.com/photos/{number}/", "user": "ada",
                 "imageWidth": 800, "imageHeight": 450,
                 "largeImageURL": f"{self.root}/files/{number}/still.jpg"}
                for number in (self.photos if known else [])
            ]  # fmt: skip
        return as_json({"total": len(hits), "totalHits": len(hits), "hits": hits}, **self.limits)

    def _pixabay_clip(self, number: int) -> dict[str, Any]:
        sizes = {"large": (1920, 1080), "medium": (640, 360), "small": (320, 180)}
        videos: dict[str, Any] = {
            name: {"url": f"{self.root}/files/{number}-{height}/clip.mp4", "width": width,
                   "height": height, "size": 1, "thumbnail": "https://x"}
            for name, (width, height) in sizes.items()
        }  # fmt: skip
        videos["tiny"] = {"url": "", "width": 0, "height": 0, "size": 0}
        return {
            "id": number, "pageURL": f"https://pixabay.com/videos/id-{number}/", "type": "film",
            "duration": self.clip_seconds, "user": "Jo Reef", "videos": videos,
        }  # fmt: skip
