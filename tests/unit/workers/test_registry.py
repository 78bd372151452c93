"""Every provider that the settings take has an adapter, and none is there that cannot be chosen."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from workers.registry import HOSTS, NARRATORS, SCRIPT_WRITERS
from workers.settings import Settings


@pytest.mark.parametrize(
    ("setting", "registry"),
    [
        ("script_provider", SCRIPT_WRITERS),
        ("voice_provider", NARRATORS),
        ("host_provider", HOSTS),
    ],
)
def test_settings_and_registry_name_the_same_providers(
    setting: str, registry: Mapping[str, Any]
) -> None:
    assert set(get_args(Settings.model_fields[setting].annotation)) == set(registry)
