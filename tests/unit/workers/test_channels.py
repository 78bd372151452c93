"""Channels between their row and the stages."""

import re

from hypothesis import given
from hypothesis import strategies as st

from workers.channels import local_channel_id, video_format

HOST_CHANNEL = re.compile(r"[A-Za-z0-9_-]{1,64}")


def test_plain_name_is_its_own_id() -> None:
    assert local_channel_id("demo-vertical") == "local-demo-vertical"


def test_names_that_look_alike_have_ids_of_their_own() -> None:
    names = ["My Channel", "my-channel", "my channel", "Kanal ü", "Kanal ö", "北京", "東京"]
    assert len({local_channel_id(name) for name in names}) == len(names)


@given(st.text(min_size=1, max_size=100))
def test_every_name_has_an_id_that_the_host_takes(name: str) -> None:
    assert HOST_CHANNEL.fullmatch(local_channel_id(name))


def test_resolution_is_the_shorter_side() -> None:
    wide, tall = video_format("1080p", vertical=False), video_format("1080p", vertical=True)
    assert (wide.width, wide.height) == (1920, 1080)
    assert (tall.width, tall.height) == (1080, 1920)
    assert tall.vertical
    assert not wide.vertical
