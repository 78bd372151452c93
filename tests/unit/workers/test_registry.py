"""Every provider that the settings take has an adapter, and none is there that cannot be chosen."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, cast, get_args

import pytest

from workers.registry import FEEDS, FOOTAGE, HOSTS, NARRATORS, SCRIPT_WRITERS, check_feeds
from workers.settings import Settings, SettingsError, TrendSourceName


@pytest.mark.parametrize(
    ("setting", "registry"),
    [
        ("script_provider", SCRIPT_WRITERS),
        ("voice_provider", NARRATORS),
        ("footage_provider", FOOTAGE),
        ("host_provider", HOSTS),
    ],
)
def test_settings_and_registry_name_the_same_providers(
    setting: str, registry: Mapping[str, Any]
) -> None:
    assert set(get_args(Settings.model_fields[setting].annotation)) == set(registry)


def test_settings_and_registry_name_the_same_feeds() -> None:
    assert {*FEEDS, "custom"} == set(get_args(TrendSourceName))


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"YTEMPIRE_TREND_SOURCES": "reddit"}, "REDDIT_CLIENT_ID"),
        ({"YTEMPIRE_TREND_SOURCES": "reddit", "REDDIT_CLIENT_ID": "x"}, "REDDIT_CLIENT_SECRET"),
        (
            {
                "YTEMPIRE_TREND_SOURCES": "google_trends",
                "YTEMPIRE_GOOGLE_TRENDS_URL": "https://e.org/rss?geo=ZZ",
            },
            "YTEMPIRE_GOOGLE_TRENDS_URL",
        ),
    ],
)
async def test_feed_without_what_it_needs_is_refused_at_start_up(
    given: dict[str, str], missing: str
) -> None:
    with pytest.raises(SettingsError, match=missing):
        await check_feeds(Settings.from_env(given))


async def test_feeds_that_need_nothing_pass() -> None:
    await check_feeds(
        Settings.from_env({"YTEMPIRE_TREND_SOURCES": "custom,google_trends,hackernews,wikimedia"})
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"YTEMPIRE_FOOTAGE_PROVIDER": "pexels"}, "PEXELS_API_KEY"),
        ({"YTEMPIRE_FOOTAGE_PROVIDER": "pixabay"}, "PIXABAY_API_KEY"),
        ({"YTEMPIRE_FOOTAGE_PROVIDER": "pexels", "PEXELS_API_KEY": "a\u00e4b"}, "PEXELS_API_KEY"),
        ({"YTEMPIRE_FOOTAGE_PROVIDER": "folder"}, "YTEMPIRE_MEDIA_DIR"),
        (
            {"YTEMPIRE_FOOTAGE_PROVIDER": "folder", "YTEMPIRE_MEDIA_DIR": "/no/such/folder"},
            "YTEMPIRE_MEDIA_DIR",
        ),
    ],
)
async def test_footage_provider_without_what_it_needs_is_refused_by_the_variables_name(
    given: dict[str, str], missing: str
) -> None:
    settings = Settings.from_env(given)
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=missing) as caught:
            FOOTAGE[settings.footage_provider](settings, cast("Any", None), stack)
    assert "\u00e4" not in str(caught.value)


@pytest.mark.parametrize("name", ["PEXELS_API_KEY", "PIXABAY_API_KEY"])
def test_keys_are_not_in_the_repr(name: str) -> None:
    assert "hush-hush" not in repr(Settings.from_env({name: "hush-hush"}))
