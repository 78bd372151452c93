"""What ElevenLabs' models take: data in `elevenlabs_models.json`, cautious for unknown ones."""

from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pipeline.errors import Rejected


class VoiceModel(BaseModel):
    """A model: characters a call, whether calls can be joined by `previous_request_ids`, whether it
    takes a language code, and the primary language tags it speaks (None: not listed)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    characters: int = 5_000
    stitches: bool = False
    takes_language: bool = False
    languages: frozenset[str] | None = None

    def language_code(self, language: str) -> str | None:
        """The code to send for a BCP 47 tag; `Rejected` for a language the model lacks."""
        primary = language.replace("_", "-").split("-")[0].lower()
        primary = {"nb": "no", "nn": "no", "tl": "fil"}.get(primary, primary)
        if self.languages is not None and primary not in self.languages:
            raise Rejected(
                f"this ElevenLabs model does not speak {language!r}; it speaks"
                f" {', '.join(sorted(self.languages))}: choose another with"
                " YTEMPIRE_ELEVENLABS_MODEL"
            )
        return primary if self.takes_language else None


@cache
def _models() -> dict[str, VoiceModel]:
    file = resources.files("pipeline.providers") / "elevenlabs_models.json"
    return TypeAdapter(dict[str, VoiceModel]).validate_json(file.read_bytes())


def voice_model(name: str) -> VoiceModel:
    """The model of this name; for an unknown one the least that any model takes."""
    return _models().get(name, VoiceModel())
