"""What the host says of a video decides how its run ends."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain import Visibility
from pipeline.errors import Deferred, Rejected, Transient
from pipeline.hosting import HostedVideo, Publication
from pipeline.stages.analytics import measure
from tests.unit.pipeline.fakes import NOW, FakeStatistics

PUBLIC = HostedVideo("v1", Visibility.PUBLIC, processed=True, problem=None)
PUBLICATION = Publication("v1", "https://v/1", "UC_own", Visibility.PUBLIC, NOW)


async def measured(hosted: HostedVideo, *, scheduled: bool = False) -> object:
    return await measure(
        PUBLICATION,
        statistics=FakeStatistics(hosted),
        visibility=Visibility.PUBLIC,
        publish_at=NOW if scheduled else None,
        now=NOW,
    )


async def test_public_video_is_measured() -> None:
    answer = await measure(
        PUBLICATION,
        statistics=FakeStatistics(PUBLIC),
        visibility=Visibility.PUBLIC,
        publish_at=None,
        now=NOW,
    )
    assert answer.hosted == PUBLIC
    assert (answer.statistics.views, answer.statistics.likes) == (5, 2)


async def test_refused_video_fails_with_the_hosts_reason() -> None:
    with pytest.raises(Rejected, match="duplicate"):
        await measured(replace(PUBLIC, problem="rejected: duplicate"))


async def test_video_that_is_processed_for_hours_costs_no_attempt() -> None:
    with pytest.raises(Deferred) as caught:
        await measured(replace(PUBLIC, processed=False))
    assert caught.value.until == NOW + timedelta(minutes=2)


async def test_video_less_visible_than_made_is_not_a_success() -> None:
    with pytest.raises(Transient, match="private"):
        await measured(replace(PUBLIC, visibility=Visibility.PRIVATE))


@pytest.mark.parametrize("visibility", [Visibility.PRIVATE, Visibility.PUBLIC])
async def test_scheduled_video_may_still_be_private(visibility: Visibility) -> None:
    assert await measured(replace(PUBLIC, visibility=visibility), scheduled=True)


async def test_scheduled_video_may_not_be_unlisted() -> None:
    with pytest.raises(Transient):
        await measured(replace(PUBLIC, visibility=Visibility.UNLISTED), scheduled=True)
