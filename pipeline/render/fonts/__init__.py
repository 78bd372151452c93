"""The typefaces that ship with the renderer, all under the SIL Open Font License.

Nothing of the system's fonts is used, so that a film looks the same on every machine and a segment
drawn by one host is valid on another.
"""

from functools import lru_cache
from pathlib import Path

import uharfbuzz as hb

FOLDER = Path(__file__).parent

# Tried in order after a style's own face: the first that has the character draws it.
FALLBACKS = (
    "Inter-Bold.ttf",
    "NotoSansArabic-Bold.ttf",
    "NotoSansHebrew-Bold.ttf",
    "NotoSansDevanagari-Bold.ttf",
    "NotoSansThai-Bold.ttf",
    "NotoSansSC-Bold-cjk.ttf",
    "NotoSansKR-Bold-hangul.ttf",
    "NotoEmoji-Bold.ttf",
)

TITLE_FACES = ("Sora-ExtraBold.ttf", "BricolageGrotesque-ExtraBold.ttf", "Inter-ExtraBold.ttf")
CAPTION_FACE = "Inter-Bold.ttf"
LABEL_FACE = "Inter-SemiBold.ttf"

# HarfBuzz works in integers; 64 of them are a pixel.
UNITS_PER_PIXEL = 64


@lru_cache(maxsize=32)
def load_face(file: str) -> hb.Face:
    """The face in a file of this folder."""
    return hb.Face(hb.Blob.from_file_path(str(FOLDER / file)))


@lru_cache(maxsize=32)
def characters(file: str) -> frozenset[int]:
    """The code points that a face can draw."""
    return frozenset(load_face(file).unicodes)


@lru_cache(maxsize=256)
def sized_font(file: str, size: float) -> hb.Font:
    """The face at `size` pixels an em, measured in 1/64 pixel."""
    font = hb.Font(load_face(file))
    font.scale = (round(size * UNITS_PER_PIXEL), round(size * UNITS_PER_PIXEL))
    return font


@lru_cache(maxsize=8192)
def face_for(cluster: str, preferred: str) -> str | None:
    """The first face that can draw every visible character of a cluster, None when none can."""
    needed = {ord(c) for c in cluster if not is_ignorable(c)}
    for file in (preferred, *FALLBACKS):
        if needed <= characters(file):
            return file
    return None


def is_ignorable(character: str) -> bool:
    """True for joiners and variation selectors, which shape their neighbours and draw nothing."""
    return character in "\u200c\u200d" or "\ufe00" <= character <= "\ufe0f"
