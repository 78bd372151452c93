"""What is wished for behind a section, and what was found: clips and stills with their credits."""

from dataclasses import dataclass

from pipeline.domain import FootageCredit, SceneFootage


@dataclass(frozen=True, slots=True)
class FootageWish:
    """What a scene wants to show. `queries` are words to search for, the most telling first.

    A clip should last `min_seconds`; `width` and `height` are the frame's, in pixels.
    """

    queries: tuple[str, ...]
    width: int
    height: int
    min_seconds: float
    language: str = "en"

    @property
    def vertical(self) -> bool:
        return self.height > self.width


@dataclass(frozen=True, slots=True)
class FoundFootage:
    """A local, verified asset and whose it is."""

    scene: SceneFootage
    credit: FootageCredit


@dataclass(frozen=True, slots=True)
class MediaShape:
    """What decoding a file showed. `duration` is what could be decoded, 0 for a still."""

    is_video: bool
    duration: float
    width: int
    height: int
