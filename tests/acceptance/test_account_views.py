"""What an operator sees of accounts, their quota and the keys that seal them."""

import base64
import json

from tests.acceptance.line import Line
from tests.services.youtube_server import YouTubeServer


def add(line: Line, youtube: YouTubeServer, channel: str, email: str, *arguments: str) -> None:
    account = youtube.world.add_account(channel)
    line.run(
        "account", "add", "--email", email, "--credentials-file", "-", *arguments,
        input=json.dumps(account.file()),
    )  # fmt: skip


def test_accounts_quota_and_keys_are_shown_as_documented(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    line.add_small_channel("small", "--youtube-channel-id", "UC_own")
    add(line, youtube, "UC_own", "one@example.org", "--upload-limit", "7")
    (listed,) = line.json("account", "list")["items"]
    expected = {
        "state": "ready", "action": None, "health_score": 100.0, "health_trend": 0.0,
        "uploads_today": 0, "upload_limit": 7, "quota_used_today": 0, "last_error": None,
        "channels": ["small"], "project": "client", "grant_expires_at": None,
    }  # fmt: skip
    assert {name: listed[name] for name in expected} == expected

    line.run("account", "pause", "one@example.org", "--reason", "on holiday")
    shown = line.json("account", "show", "one@example.org")
    assert (shown["state"], shown["action"]) == (
        "paused", "ytempire account resume one@example.org",
    )  # fmt: skip
    assert [event["event"] for event in shown["events"]] == ["paused", "added"]
    assert shown["events"][0]["reason"] == "on holiday"
    assert "needs you: ytempire account resume" in line.run("account", "list")
    line.run("account", "resume", "one@example.org")

    buckets = {each["bucket"]: each for each in line.json("account", "quota")["items"]}
    assert buckets["default"]["used"] == 1  # whose channel it is
    assert (buckets["videos.insert"]["used"], buckets["videos.insert"]["limit"]) == (0, 100)
    assert buckets["videos.insert"]["accounts"] == ["one@example.org"]
    line.run("account", "quota", "--project", "client", "--set", "videos.insert=400")
    (inserts,) = [
        each
        for each in line.json("account", "quota", "--project", "client")["items"]
        if each["bucket"] == "videos.insert"
    ]
    assert inserts["limit"] == 400
    for refused, code in (
        (("--set", "videos.insert=1"), 2),
        (("--project", "client", "--set", "videos.insert"), 2),
        (("--project", "client", "--set", "no.such=1"), 2),
        (("--project", "nobody"), 3),
    ):
        line.refuse("account", "quota", *refused, code=code)

    line.settings["YTEMPIRE_SECRET_KEYS"] = (
        f"k2:{base64.b64encode(b'2' * 32).decode()},{line.settings['YTEMPIRE_SECRET_KEYS']}"
    )
    assert line.json("account", "rotate-keys", "--dry-run")["envelopes"] == [
        {"place": "youtube_accounts.credentials", "key": "k1", "count": 1}
    ]
    done = line.json("account", "rotate-keys")
    assert done["envelopes"] == [{"place": "youtube_accounts.credentials", "key": "k2", "count": 1}]
    assert done["resealed"]["youtube_accounts.credentials"] == 1
    # The new key alone opens what is stored; the old one alone does not.
    line.settings["YTEMPIRE_SECRET_KEYS"] = line.settings["YTEMPIRE_SECRET_KEYS"].split(",")[0]
    findings = json.loads(line.attempt("doctor", "--json").stdout)["findings"]
    assert any("one@example.org uploads to UC_own" in each["message"] for each in findings)
