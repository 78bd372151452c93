"""The stand-ins refuse what the vendors refuse: a wrong call must fail here as it would outside."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.services.elevenlabs_server import KEY as XI_KEY
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.feeds_server import FeedsServer
from tests.services.openai_server import KEY as OPENAI_KEY
from tests.services.openai_server import OpenAIServer
from tests.services.stock_server import PEXELS_KEY, PIXABAY_KEY, StockServer
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import READONLY

VOICE = "JBFqnCBsd6RMkjVDRZzb"
SCHEMA = {
    "type": "json_schema",
    "name": "x",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    },
}


class Stage:
    """All stand-ins, and one client."""

    def __init__(self, stack: ExitStack) -> None:
        self.openai = stack.enter_context(OpenAIServer())
        self.elevenlabs = stack.enter_context(ElevenLabsServer())
        self.stock = stack.enter_context(StockServer(b"clip", b"still"))
        self.feeds = stack.enter_context(FeedsServer(datetime.now(UTC)))
        self.youtube = stack.enter_context(YouTubeServer())
        self.client = stack.enter_context(httpx.Client(trust_env=False, timeout=10))
        account = self.youtube.world.add_account("UC_own")
        self.youtube.world.tokens["good"] = account
        narrow = self.youtube.world.add_account("UC_own", scopes=(READONLY,))
        self.youtube.world.tokens["narrow"] = narrow

    def youtube_video(self) -> str:
        world = self.youtube.world
        session = world.open_session(
            world.tokens["good"], {"snippet": {"title": "x", "categoryId": "27"}}, 1
        )
        world.append(session, 0, b"x", None)
        return str(session.video_id)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def responses(**changed: Any) -> Callable[[Stage], httpx.Response]:
    body = {
        "model": "gpt-6-sol",
        "instructions": "Write.",
        "input": [{"role": "user", "content": "<data>\n{}\n</data>"}],
        "text": {"format": SCHEMA},
    } | changed
    body = {name: value for name, value in body.items() if value is not None}
    key = body.pop("key", OPENAI_KEY)
    return lambda stage: stage.client.post(
        f"{stage.openai.base_url}/responses", json=body, headers={"Authorization": f"Bearer {key}"}
    )


def speech(
    *, voice: str = VOICE, audio: str = "mp3_44100_128", key: str | None = XI_KEY, **body: Any
) -> Callable[[Stage], httpx.Response]:
    headers = {} if key is None else {"xi-api-key": key}
    return lambda stage: stage.client.post(
        f"{stage.elevenlabs.root}/v1/text-to-speech/{voice}/with-timestamps",
        params={"output_format": audio},
        json={"text": "Hi", "model_id": "eleven_v3"} | body,
        headers=headers,
    )


def pexels(
    path: str = "/v1/videos/search", key: str | None = PEXELS_KEY, **query: Any
) -> Callable[[Stage], httpx.Response]:
    headers = {} if key is None else {"Authorization": key}
    return lambda stage: stage.client.get(
        stage.stock.root + path, params={"query": "reef"} | query, headers=headers
    )


def pixabay(**query: Any) -> Callable[[Stage], httpx.Response]:
    given = {"key": PIXABAY_KEY, "q": "reef"} | query
    given = {name: value for name, value in given.items() if value is not None}
    return lambda stage: stage.client.get(f"{stage.stock.root}/api/videos/", params=given)


def youtube(
    method: str, path: str, token: str | None = "good", **options: Any
) -> Callable[[Stage], httpx.Response]:
    headers = options.pop("headers", {})
    if token is not None:
        headers = {"Authorization": f"Bearer {token}"} | headers
    return lambda stage: stage.client.request(
        method, stage.youtube.root + path, headers=headers, **options
    )


def insert(
    resource: dict[str, Any] | None = None, token: str = "good", **query: str
) -> Callable[[Stage], httpx.Response]:
    good = {"snippet": {"title": "x", "categoryId": "27"}, "status": {"privacyStatus": "private"}}
    params = {"uploadType": "resumable", "part": "snippet,status"} | query
    return youtube(
        "POST", "/upload/youtube/v3/videos", token, params=params, json=resource or good,
        headers={"X-Upload-Content-Type": "video/mp4", "X-Upload-Content-Length": "524288"},
    )  # fmt: skip


def chunk(content_range: str, size: int) -> Callable[[Stage], httpx.Response]:
    def send(stage: Stage) -> httpx.Response:
        where = insert()(stage).headers["location"]
        headers = {"Authorization": "Bearer good", "Content-Range": content_range}
        return stage.client.put(where, content=bytes(size), headers=headers)

    return send


REFUSED: dict[str, tuple[Callable[[Stage], httpx.Response], int]] = {
    "openai: wrong key": (responses(key="sk-other"), 401),
    "openai: unknown model": (responses(model="gpt-4"), 404),
    "openai: no input": (responses(input=[]), 400),
    "openai: unknown parameter": (responses(max_tokens=5), 400),
    "openai: temperature while it reasons": (responses(temperature=0.5), 400),
    "openai: format that is not strict": (
        responses(text={"format": SCHEMA | {"strict": False}}),
        400,
    ),
    "openai: open object": (
        responses(text={"format": SCHEMA | {"schema": {"type": "object", "properties": {}}}}),
        400,
    ),
    "elevenlabs: no key": (speech(key=None), 401),
    "elevenlabs: wrong key": (speech(key="other"), 401),
    "elevenlabs: unknown voice": (speech(voice="nobody"), 400),
    "elevenlabs: unknown model": (speech(model_id="x"), 400),
    "elevenlabs: no text": (speech(text=" "), 422),
    "elevenlabs: too long": (speech(text="x" * 5_001), 400),
    "elevenlabs: four earlier requests": (
        speech(model_id="eleven_multilingual_v2", previous_request_ids=["1", "2", "3", "4"]),
        400,
    ),
    "elevenlabs: joined where it cannot be": (speech(previous_request_ids=["1"]), 400),
    "elevenlabs: language code where none is taken": (
        speech(model_id="eleven_multilingual_v2", language_code="en"),
        400,
    ),
    "elevenlabs: unknown format": (speech(audio="flac_1"), 400),
    "pexels: no key": (pexels(key=None), 401),
    "pexels: Bearer": (pexels(key=f"Bearer {PEXELS_KEY}"), 401),
    "pexels: path of before 2026": (pexels("/videos/search"), 404),
    "pexels: no query": (pexels(query=""), 400),
    "pexels: page too large": (pexels(per_page=81), 400),
    "pexels: page of none": (pexels(per_page=0), 400),
    "pexels: unknown orientation": (pexels(orientation="wide"), 400),
    "pixabay: no key": (pixabay(key=None), 400),
    "pixabay: wrong key": (pixabay(key="other"), 400),
    "pixabay: query too long": (pixabay(q="x" * 101), 400),
    "pixabay: page too small": (pixabay(per_page=2), 400),
    "pixabay: page too large": (pixabay(per_page=201), 400),
    "wikimedia: agent that does not say who it is": (
        lambda stage: stage.client.get(
            f"{stage.feeds.wikimedia_url}/page/summary/Octopus", headers={"User-Agent": "x"}
        ),
        403,
    ),
    "youtube: no token": (youtube("GET", "/youtube/v3/channels?part=id&mine=true", None), 401),
    "youtube: unknown token": (youtube("GET", "/youtube/v3/channels?part=id&mine=true", "x"), 401),
    "youtube: scope that was not granted": (insert(token="narrow"), 403),
    "youtube: no part": (youtube("GET", "/youtube/v3/channels?mine=true"), 400),
    "youtube: unknown part": (youtube("GET", "/youtube/v3/channels?part=x&mine=true"), 400),
    "youtube: no filter": (youtube("GET", "/youtube/v3/videos?part=id"), 400),
    "youtube: two filters": (
        youtube("GET", "/youtube/v3/videos?part=id&id=x&chart=mostPopular"),
        400,
    ),
    "youtube: page size beside ids": (
        youtube("GET", "/youtube/v3/videos?part=id&id=x&maxResults=5"),
        400,
    ),
    "youtube: chart of a country that is none": (
        youtube("GET", "/youtube/v3/videos?part=id&chart=mostPopular&regionCode=ZZ"),
        400,
    ),
    "youtube: page too large": (
        youtube("GET", "/youtube/v3/videos?part=id&chart=mostPopular&maxResults=51"),
        400,
    ),
    "youtube: playlist of nobody": (
        youtube("GET", "/youtube/v3/playlistItems?part=id&playlistId=PL_x"),
        404,
    ),
    "youtube: upload that is not resumable": (insert(uploadType="media"), 400),
    "youtube: parts that are not those of the body": (insert(part="snippet"), 400),
    "youtube: no category": (insert({"snippet": {"title": "x"}, "status": {}}), 400),
    "youtube: scheduled and public": (
        insert(
            {
                "snippet": {"title": "x", "categoryId": "27"},
                "status": {"privacyStatus": "public", "publishAt": "2030-01-01T00:00:00Z"},
            }
        ),
        400,
    ),
    "youtube: chunk of an odd size": (chunk("bytes 0-262144/524288", 262_145), 400),
    "youtube: chunk at a wrong place": (chunk("bytes 1-262144/524288", 262_144), 400),
    "youtube: chunk of another file": (chunk("bytes 0-262143/999999", 262_144), 400),
    "youtube: chunk that lies about its size": (chunk("bytes 0-262143/524288", 262_143), 400),
    "youtube: chunk without its place": (chunk("", 262_144), 400),
    "youtube: session of nobody": (
        youtube("PUT", "/upload/youtube/v3/videos?upload_id=x", headers={"Content-Range": "x"}),
        404,
    ),
    "youtube: thumbnail that is no picture": (
        lambda stage: youtube(
            "POST",
            f"/upload/youtube/v3/thumbnails/set?videoId={stage.youtube_video()}",
            content=b"GIF89a",
            headers={"Content-Type": "image/jpeg"},
        )(stage),
        400,
    ),
    "youtube: report of a query it does not support": (
        youtube(
            "GET",
            "/v2/reports?ids=channel==MINE&dimensions=day&metrics=stars&filters=video==x"
            "&startDate=2026-11-01&endDate=2026-11-02",
        ),
        400,
    ),
    "youtube: revenue without its scope": (
        youtube(
            "GET",
            "/v2/reports?ids=channel==MINE&dimensions=day&metrics=estimatedRevenue"
            "&filters=video==x&startDate=2026-11-01&endDate=2026-11-02",
        ),
        403,
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_wrong_call_is_refused(stage: Stage, wrong: str) -> None:
    call, status = REFUSED[wrong]
    answer = call(stage)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "call", [speech(), pexels(), pexels("/v1/search"), pixabay(), insert()],
    ids=["elevenlabs", "pexels", "pexels photos", "pixabay", "youtube"],
)  # fmt: skip
def test_right_call_is_taken(stage: Stage, call: Callable[[Stage], httpx.Response]) -> None:
    assert call(stage).status_code == 200


def test_right_call_of_openai_is_taken(stage: Stage) -> None:
    data = {"topic": "Ice", "facts": [{"index": 0, "text": "Ice floats."}]}
    content = f"<data>\n{json.dumps(data)}\n</data>"
    answer = responses(input=[{"role": "user", "content": content}])(stage)
    assert answer.status_code == 200


def test_upload_that_is_not_told_its_privacy_is_public(stage: Stage) -> None:
    video = stage.youtube.world.videos[stage.youtube_video()]
    assert video["status"]["privacyStatus"] == "public"
