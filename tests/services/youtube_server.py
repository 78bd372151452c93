"""A small YouTube over HTTP: Data API, resumable uploads, Analytics API and the token endpoint.

    with YouTubeServer() as youtube:
        account = youtube.world.add_account("UC_own")
        ... YTEMPIRE_GOOGLE_API_ROOT=youtube.root, YTEMPIRE_GOOGLE_TOKEN_URI=youtube.token_uri

Or as a process of its own, told what to be over `/_admin`:

    python -m tests.services.youtube_server --port 0     prints {"root": ..., "token_uri": ...}
    POST /_admin/accounts {"channel_id": ...}            -> an authorized_user file
    POST /_admin/faults   {"operation": ..., ...}        see `youtube_world.Fault`
    GET  /_admin/journal  /_admin/videos                 what was asked, what there is
"""

from __future__ import annotations

import argparse
import email
import email.policy
import json
import re
import threading
from dataclasses import asdict
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.services.youtube_world import Account, Fault, Refused, World

ROUTES = {
    ("GET", "/youtube/v3/channels"): "channels.list",
    ("GET", "/youtube/v3/videos"): "videos.list",
    ("PUT", "/youtube/v3/videos"): "videos.update",
    ("GET", "/youtube/v3/playlistItems"): "playlistItems.list",
    ("POST", "/youtube/v3/playlistItems"): "playlistItems.insert",
    ("POST", "/upload/youtube/v3/videos"): "videos.insert",
    ("POST", "/upload/youtube/v3/thumbnails/set"): "thumbnails.set",
    ("POST", "/upload/youtube/v3/captions"): "captions.insert",
    ("GET", "/v2/reports"): "reports.query",
}
PARTS = {"id", "snippet", "status", "contentDetails", "statistics", "processingDetails"}
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


class Handler(BaseHTTPRequestHandler):
    """One request; the world's lock is held while it is answered."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Silent: the journal says it all."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the base class

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        world = self.server.world
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with world.lock:
            if parts.path.startswith("/_admin/"):
                self._answer(200, as_json(self._admin(parts.path, body)))
                return
            if parts.path == "/auth":
                self._answer(302, b"", {"Location": world.consent.answer(query)})
                return
            operation = self._operation(parts.path, query)
            entry = {
                "operation": operation,
                "method": self.command,
                "path": parts.path,
                "bytes": len(body),
                "range": self.headers.get("Content-Range"),
            }
            world.journal.append(entry)
            fault = world.fault_for(operation)
            if fault is not None and fault.kind in ("refuse", "cut"):
                self._misbehave(fault, entry)
                return
            keep = fault.keep if fault is not None and fault.kind == "partial" else None
            status, answer, headers = self._judge(operation, query, body, entry, keep)
            entry["status"] = status
            if operation in world.hooks:
                world.hooks.pop(operation)(entry)
            if fault is not None and fault.kind != "partial":
                self._misbehave(fault, entry)
                return
            self._answer(status, answer, headers)

    def _operation(self, path: str, query: dict[str, str]) -> str:
        if self.command == "POST" and path == "/token":
            return "token"
        if self.command == "PUT" and path == "/upload/youtube/v3/videos" and "upload_id" in query:
            asked = (self.headers.get("Content-Range") or "").startswith("bytes */")
            return "upload.query" if asked else "upload.put"
        if self.command == "DELETE" and "upload_id" in query:
            return "upload.delete"
        return ROUTES.get((self.command, path), "unknown")

    def _misbehave(self, fault: Fault, entry: dict[str, Any]) -> None:
        entry["fault"] = fault.kind
        if fault.kind in ("cut", "cut_after"):
            self.close_connection = True
            return
        if fault.kind == "garbage":
            self._answer(200, b"<html>not what you think</html>", {"Content-Type": "text/html"})
            return
        entry["status"] = fault.status
        if fault.body is not None:
            self._answer(fault.status, fault.body.encode())
            return
        refused = Refused(fault.status, fault.reason, fault.message, fault.domain)
        self._answer(fault.status, as_json(refused.body(details=fault.details)))

    def _judge(
        self,
        operation: str,
        query: dict[str, str],
        body: bytes,
        entry: dict[str, Any],
        keep: int | None,
    ) -> tuple[int, bytes, dict[str, str]]:
        try:
            if operation == "unknown":
                raise Refused(404, "notFound", f"no {self.command} {urlsplit(self.path).path}")
            if operation == "token":
                status, granted = self.server.world.grant(dict(parse_qsl(body.decode())))
                return status, as_json(granted), {}
            if operation.startswith("upload."):
                return self._upload(query, body, entry, keep)
            account = self.server.world.authorised(self.headers.get("Authorization"), operation)
            entry["channel"] = account.channel_id
            _check_parts(operation, query)
            handle = getattr(self, "_" + operation.replace(".", "_"))
            status, answer, headers = handle(account, query, body)
            return status, as_json(answer), headers
        except Refused as refused:
            return refused.status, as_json(refused.body()), {}
        except (ValueError, KeyError, TypeError) as error:
            broken = Refused(400, "badRequest", f"{type(error).__name__}: {error}")
            return 400, as_json(broken.body()), {}

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.server.world.clock(), usegmt=True))
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # -- the methods of the API ---------------------------------------------------------------

    def _channels_list(
        self, account: Account, query: dict[str, str], _: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        if query.get("mine") != "true":
            raise Refused(400, "missingRequiredParameter", "No filter selected.")
        item = {
            "id": account.channel_id,
            "snippet": {"title": f"Channel {account.channel_id}", "customUrl": "@channel"},
            "contentDetails": {"relatedPlaylists": {"uploads": f"UU_{account.channel_id}"}},
        }
        return 200, {"items": [item]}, {}

    def _videos_list(
        self, account: Account, query: dict[str, str], _: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        world, items = self.server.world, []
        if ("chart" in query) == ("id" in query):
            raise Refused(400, "missingRequiredParameter", "One filter, not none and not two.")
        if "chart" in query:
            return 200, {"items": world.chart(query)}, {}
        ids = query["id"].split(",")
        if "maxResults" in query or len(ids) > 50:
            raise Refused(400, "invalidFilters", "ids come alone, at most 50", "youtube.parameter")
        for id_ in ids:
            video = world.visible(id_, account)
            if video is None:
                continue
            parts = {"id", "kind", *query["part"].split(",")}
            items.append({name: value for name, value in video.items() if name in parts})
            if "processingDetails" in parts:
                items[-1]["processingDetails"] = world.processing(video)
            if "status" in parts and video["status"]["uploadStatus"] == "uploaded":
                items[-1]["status"] = dict(video["status"])
                world.unprocessed_reads -= 1
                if world.unprocessed_reads <= 0:
                    video["status"]["uploadStatus"] = "processed"
        return 200, {"items": items}, {}

    def _videos_update(
        self, account: Account, query: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        resource = json.loads(body)
        video = self.server.world.own(resource["id"], account)
        if "status" in query["part"].split(","):
            self.server.world.update_status(video, resource["status"])
        return 200, {"id": resource["id"], "status": video["status"]}, {}

    def _playlistItems_list(  # noqa: N802 - YouTube's name
        self, account: Account, query: dict[str, str], _: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        if query["playlistId"] != f"UU_{account.channel_id}":
            raise Refused(404, "playlistNotFound", domain="youtube.playlistItem")
        world = self.server.world
        if world.unlisted_reads > 0:
            world.unlisted_reads -= 1
            return 200, {"items": []}, {}
        own = [
            video
            for video in reversed(world.videos.values())
            if video["snippet"]["channelId"] == account.channel_id
        ]
        items = [
            {
                "snippet": {name: video["snippet"].get(name) for name in ("title", "description")},
                "contentDetails": {"videoId": video["id"]},
            }
            for video in own[: int(query.get("maxResults", 5))]
        ]
        return 200, {"items": items}, {}

    def _playlistItems_insert(  # noqa: N802 - YouTube's name
        self, account: Account, _: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        world, snippet = self.server.world, json.loads(body)["snippet"]
        listed = world.playlists.get(snippet["playlistId"])
        if listed is None:
            raise Refused(404, "playlistNotFound", domain="youtube.playlistItem")
        video = world.own(snippet["resourceId"]["videoId"], account)
        if video["id"] in listed:
            raise Refused(409, "videoAlreadyInPlaylist", domain="youtube.playlistItem")
        listed.append(video["id"])
        return 200, {"id": f"item-{len(listed)}"}, {}

    def _videos_insert(
        self, account: Account, query: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        kind = self.headers.get("X-Upload-Content-Type", "")
        size = self.headers.get("X-Upload-Content-Length", "")
        if query.get("uploadType") != "resumable" or not kind.startswith("video/"):
            raise Refused(400, "mediaBodyRequired", domain="youtube.video")
        resource = json.loads(body)
        if set(resource) != set(query["part"].split(",")):
            raise Refused(400, "unexpectedPart", "The parts are not those of the body.")
        session = self.server.world.open_session(account, resource, int(size))
        where = f"{self.server.root}/upload/youtube/v3/videos?upload_id={session.id}"
        return 200, {}, {"Location": where}

    def _upload(
        self, query: dict[str, str], body: bytes, entry: dict[str, Any], keep: int | None
    ) -> tuple[int, bytes, dict[str, str]]:
        world = self.server.world
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        account = world.tokens.get(token) if scheme == "Bearer" else None
        if account is None:
            raise Refused(401, "authError", "Invalid Credentials")
        session = world.session(query["upload_id"], account)
        entry["session"], entry["channel"] = session.id, account.channel_id
        if self.command == "DELETE":
            del world.sessions[session.id]
            return 499, b"", {}
        said = _RANGE.fullmatch(self.headers.get("Content-Range") or "")
        if said is None:
            raise Refused(400, "badRequest", "No Content-Range.")
        first, last, total = said.groups()
        if total != "*" and int(total) != session.size:
            raise Refused(400, "badRequest", f"{session.size} bytes were announced.")
        if session.video_id is None and first is not None:
            if int(last) - int(first) + 1 != len(body):
                raise Refused(400, "badRequest", "The body is not what Content-Range says.")
            world.append(session, int(first), body, keep)
        if session.video_id is not None:
            return 200, as_json(world.videos[session.video_id]), {}
        kept = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        return 308, b"", kept

    def _thumbnails_set(
        self, account: Account, query: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        video = self.server.world.own(query["videoId"], account)
        if self.server.world.shorts and video["status"]["uploadStatus"] != "processed":
            raise Refused(403, "forbidden", "A Short has no thumbnail before it is processed.")
        kind = self.headers.get("Content-Type", "")
        magic = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}.get(kind)
        if magic is None or not body.startswith(magic) or len(body) > 50 << 20:
            raise Refused(400, "invalidImage", domain="youtube.thumbnail")
        self.server.world.thumbnails[video["id"]] = body
        return 200, {"items": [{}]}, {}

    def _captions_insert(
        self, account: Account, query: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        if query.get("uploadType") != "multipart":
            raise Refused(400, "contentRequired", domain="youtube.caption")
        head = f"Content-Type: {self.headers.get('Content-Type')}\r\n\r\n".encode()
        resource, track = (
            part.get_payload(decode=True)
            for part in email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts()
        )
        snippet = json.loads(resource)["snippet"]
        video = self.server.world.own(snippet["videoId"], account)
        tracks = self.server.world.captions.setdefault(video["id"], {})
        if snippet["language"] in tracks:
            raise Refused(409, "captionExists", domain="youtube.caption")
        if b"-->" not in track:
            raise Refused(400, "contentRequired", domain="youtube.caption")
        tracks[snippet["language"]] = track
        return 200, {"id": "caption-1"}, {}

    def _reports_query(
        self, account: Account, query: dict[str, str], _: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        return 200, self.server.world.report(account, query), {}

    # -- the way in for another process -------------------------------------------------------

    def _admin(self, path: str, body: bytes) -> Any:
        world = self.server.world
        given = json.loads(body) if body else {}
        match path.removeprefix("/_admin/"):
            case "accounts":
                return world.add_account(**given).file()
            case "consent":
                world.consent.person = world.add_account(**given)
                return world.consent.person.file()
            case "faults":
                world.faults.append(Fault(**given))
                return asdict(world.faults[-1])
            case "journal":
                return world.journal
            case "videos":
                return list(world.videos.values())
        raise ValueError(path)


def _check_parts(operation: str, query: dict[str, str]) -> None:
    if operation in ("thumbnails.set", "reports.query"):
        return
    parts = set(query.get("part", "").split(","))
    if not parts <= PARTS or "" in parts:
        raise Refused(400, "missingRequiredParameter", "part is required.")


class Server(ThreadingHTTPServer):
    """Listens on the loopback interface only."""

    daemon_threads = True

    def __init__(self, world: World, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.world = world
        self.root = f"http://127.0.0.1:{self.server_address[1]}"


class YouTubeServer:
    """The server in threads of this process, for the length of a `with`."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self._server = Server(self.world)
        self.root = self._server.root
        self.token_uri = f"{self.root}/token"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The journal's entries of one operation."""
        return [entry for entry in self.world.journal if entry["operation"] == operation]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Server(World(), parser.parse_args().port)
    print(  # noqa: T201 - how the parent learns the port
        json.dumps({"root": server.root, "token_uri": f"{server.root}/token"}), flush=True
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
