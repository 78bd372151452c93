"""Settings come from a mapping, name what is wrong and what is not theirs."""

from pathlib import Path

import pytest

from workers.settings import Settings, SettingsError


def test_data_folder_defaults_to_the_users_own() -> None:
    settings = Settings.from_env({"XDG_DATA_HOME": "/srv/data"})
    assert settings.data_dir == Path("/srv/data/ytempire")
    assert settings.database_url is None


def test_empty_variable_counts_as_unset() -> None:
    settings = Settings.from_env({"DATABASE_URL": "  ", "YTEMPIRE_DATA_DIR": "/x"})
    assert settings.database_url is None


def test_relative_data_folder_becomes_absolute() -> None:
    settings = Settings.from_env({"YTEMPIRE_DATA_DIR": "here"})
    assert settings.data_dir == Path.cwd() / "here"


def test_wrong_value_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"YTEMPIRE_LOG_FORMAT.*console.*json"):
        Settings.from_env({"YTEMPIRE_LOG_FORMAT": "xml"})


def test_unknown_variable_is_named_with_its_nearest() -> None:
    settings = Settings.from_env({"YTEMPIRE_DATA_DIRECTORY": "/x"})
    (warning,) = settings.unknown
    assert "YTEMPIRE_DATA_DIRECTORY" in warning
    assert "did you mean YTEMPIRE_DATA_DIR?" in warning


def test_secrets_are_not_in_the_repr() -> None:
    settings = Settings.from_env({"AWS_SECRET_ACCESS_KEY": "hush-hush"})
    assert "hush-hush" not in repr(settings)


def test_trend_sources_are_a_list_divided_by_commas() -> None:
    settings = Settings.from_env({"YTEMPIRE_TREND_SOURCES": " google_trends, hackernews,,custom"})
    assert settings.trend_sources == ("google_trends", "hackernews", "custom")
    assert Settings.from_env({}).trend_sources == ("custom",)
    with pytest.raises(SettingsError, match=r"YTEMPIRE_TREND_SOURCES.*myspace|google_trends"):
        Settings.from_env({"YTEMPIRE_TREND_SOURCES": "myspace"})


@pytest.mark.parametrize(
    "name",
    ["YTEMPIRE_GOOGLE_TRENDS_URL", "YTEMPIRE_HACKERNEWS_URL", "YTEMPIRE_WIKIMEDIA_URL"],
)
def test_address_that_is_none_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: "ftp://example.org"})


def test_reddits_secret_is_not_in_the_repr() -> None:
    settings = Settings.from_env({"REDDIT_CLIENT_ID": "me", "REDDIT_CLIENT_SECRET": "hush-hush"})
    assert "hush-hush" not in repr(settings)
