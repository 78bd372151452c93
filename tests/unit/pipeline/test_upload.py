"""The order of an upload, and every place where an earlier attempt may have stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain import FootageCredit, Visibility
from pipeline.errors import LostClaim, Transient
from pipeline.hosting import UploadRecord
from pipeline.stages.upload import Uploaded, WrongChannel, publish_video
from tests.unit.pipeline.fakes import CHANNEL, CUT, NOW, SCRIPT, FakeHost, FakeJournal, FolderStore

AFTER = ["kept video", "publish {}", "kept publication"]


async def run(host: FakeHost, journal: FakeJournal, **changed: Any) -> Uploaded:
    arguments: dict[str, Any] = {
        "channel": CHANNEL,
        "expected_channel_id": "UC_own",
        "host": host,
        "journal": journal,
        "store": FolderStore(),
        "scratch": Path("/nowhere"),
        "visibility": Visibility.PUBLIC,
        "publish_at": None,
        "progress": lambda part: None,
    }
    cut = changed.pop("cut", CUT)
    return await publish_video(cut, SCRIPT, **{**arguments, **changed})


def after(video_id: str) -> list[str]:
    return [step.format(video_id) for step in AFTER]


async def test_first_attempt_keeps_session_before_bytes_and_id_before_publishing() -> None:
    log: list[str] = []
    uploaded = await run(FakeHost(log), FakeJournal(log))
    assert log == [
        "owner", "begin", "open", "kept session", "send session-1",
        *after("video-of-session-1"),
    ]  # fmt: skip
    assert uploaded.publication.video_id == "video-of-session-1"


async def test_wrong_channel_is_refused_before_anything_is_begun_or_sent() -> None:
    log: list[str] = []
    with pytest.raises(WrongChannel, match=r"UC_other.*Small Wonders.*UC_own"):
        await run(FakeHost(log, channel_id="UC_other"), FakeJournal(log))
    assert log == ["owner"]


async def test_kept_video_id_is_published_without_sending_again() -> None:
    log: list[str] = []
    journal = FakeJournal(log, UploadRecord("yte-abc", False, "session-1", "v9"))
    store = FolderStore()
    await run(FakeHost(log), journal, store=store)
    assert log == ["owner", "begin", "publish v9", "kept publication"]
    assert CUT.video.url not in store.fetched


async def test_kept_session_is_resumed() -> None:
    log: list[str] = []
    journal = FakeJournal(log, UploadRecord("yte-abc", False, "session-7", None))
    await run(FakeHost(log), journal)
    assert log == ["owner", "begin", "send session-7", *after("video-of-session-7")]


async def test_lost_session_looks_for_the_marker_and_adopts_what_it_finds() -> None:
    log: list[str] = []
    host = FakeHost(log, lost_sessions={"session-7"}, uploads={"yte-abc": "v3"})
    await run(host, FakeJournal(log, UploadRecord("yte-abc", False, "session-7", None)))
    assert log == ["owner", "begin", "send session-7", "find", *after("v3")]


async def test_lost_session_without_a_marked_video_opens_a_new_one() -> None:
    log: list[str] = []
    host = FakeHost(log, lost_sessions={"session-7"})
    await run(host, FakeJournal(log, UploadRecord("yte-abc", False, "session-7", None)))
    assert log[2:7] == ["send session-7", "find", "open", "kept session", "send session-1"]


async def test_attempt_without_a_kept_session_looks_before_it_inserts() -> None:
    log: list[str] = []
    host = FakeHost(log, uploads={"yte-abc": "v3"})
    await run(host, FakeJournal(log, UploadRecord("yte-abc", False, None, None)))
    assert "open" not in log
    assert log[2:] == ["find", *after("v3")]


async def test_session_that_vanishes_in_use_never_inserts_twice_in_one_attempt() -> None:
    log: list[str] = []
    with pytest.raises(Transient, match="yte-abc"):
        await run(FakeHost(log, lost_sessions={"session-1"}), FakeJournal(log))
    assert log.count("open") == 1
    assert log[-1] == "find"


async def test_losing_the_claim_stops_before_the_first_byte() -> None:
    log: list[str] = []

    class Lost(FakeJournal):
        async def session_opened(self, session_uri: str) -> None:
            raise LostClaim("another worker has it")

    with pytest.raises(LostClaim):
        await run(FakeHost(log), Lost(log))
    assert not any(step.startswith(("send", "publish")) for step in log)


async def test_video_on_another_channel_after_publishing_is_told() -> None:
    with pytest.raises(WrongChannel, match="UC_else"):
        await run(FakeHost([], published_on="UC_else"), FakeJournal([]))


async def test_playlist_is_an_extra_of_channels_that_have_one() -> None:
    plain = await run(FakeHost([]), FakeJournal([]))
    assert [extra.name for extra in plain.extras] == ["thumbnail", "captions"]
    listed = replace(CHANNEL, playlist_id="PL_1")
    with_list = await run(FakeHost([]), FakeJournal([]), channel=listed)
    assert [extra.name for extra in with_list.extras] == ["thumbnail", "captions", "playlist"]


async def test_draft_carries_marker_as_last_line_and_tag_and_admits_synthesis() -> None:
    host = FakeHost([])
    await run(host, FakeJournal([]))
    (draft,) = host.drafts
    assert draft.description.split("\n")[-1] == "yte-abc"
    assert draft.tags == ("moon", "yte-abc")
    assert draft.synthetic_media
    assert not draft.made_for_kids
    assert (draft.size_bytes, draft.sha256) == (CUT.video.size_bytes, CUT.video.sha256)


async def test_draft_credits_the_footage_above_the_marker() -> None:
    host = FakeHost([])
    origin = FootageCredit("pexels", "video-7", "https://e.org/7", "Jo", "Pexels licence", NOW)
    await run(host, FakeJournal(host.log), cut=replace(CUT, credits=(origin,)))
    (draft,) = host.drafts
    assert draft.description.split("\n")[-3:] == [
        "Jo, Pexels: https://e.org/7 (Pexels licence)",
        "",
        "yte-abc",
    ]
