"""What must hold at the end of every scene, by the journals of the services and by the rows."""

from pipeline.domain import StageName
from tests.matrix.scenes import Scene

# The calls that a run pays for when nothing goes wrong: OpenAI, ElevenLabs.
PRICE = {StageName.SCRIPT: (1, 0), StageName.VOICE: (0, 3)}


async def judge(scene: Scene, *, paid_again: int = 0, sessions: int = 1) -> None:
    """Nothing lost, nothing published twice or elsewhere, nothing paid twice.

    `paid_again` are further calls to OpenAI, `sessions` the most uploads that may be announced.
    """
    state = await scene.state()
    last = scene.stage is StageName.ANALYTICS_PULL
    assert (state["step"], state["run"]) == ("success", "success" if last else "queued")
    assert state["next_jobs"] == (0 if last else 1)
    openai, elevenlabs = PRICE.get(scene.stage, (0, 0))
    assert scene.paid == (openai + paid_again, elevenlabs)
    made = len(scene.world.videos)
    assert made == (1 if scene.stage in (StageName.UPLOAD, StageName.ANALYTICS_PULL) else 0)
    assert len(scene.public) == made
    assert all(video["snippet"]["channelId"] == "UC_own" for video in scene.public)
    if scene.stage is StageName.UPLOAD:
        assert len(scene.vendors.youtube.asked("videos.insert")) <= sessions
        assert all(len(tracks) == 1 for tracks in scene.world.captions.values())
        playlist = scene.world.playlists["PL_1"]
        assert len(playlist) == 1, (playlist, dict(state), await scene.jobs(), scene.log())
