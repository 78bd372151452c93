"""Laying sprites and bars into a frame: the part of drawing that every frame pays for."""

import math

import cv2
import numpy as np

from pipeline.render.palette import Rgb
from pipeline.render.planes import Bytes, Frame, Sprite, yuv_of

BORDER = 4


def lay(
    frame: Frame,
    sprite: Sprite,
    opacity: float = 1.0,
    rows: tuple[int, int] | None = None,
) -> None:
    """Blend a sprite into a frame at its place.

    What lies outside of the frame, or of the (even) frame rows given, is cut off.
    """
    top, bottom = rows or (0, frame.height)
    x0, y0 = max(0, sprite.x), max(0, top, sprite.y)
    x1 = min(frame.width, sprite.x + sprite.width)
    y1 = min(frame.height, bottom, sprite.y + sprite.height)
    if opacity <= 0.0 or x0 >= x1 or y0 >= y1:
        return
    sx, sy = x0 - sprite.x, y0 - sprite.y
    luma = np.s_[sy : sy + y1 - y0, sx : sx + x1 - x0]
    chroma = np.s_[sy // 2 : (sy + y1 - y0) // 2, sx // 2 : (sx + x1 - x0) // 2]
    half = np.s_[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    _over(frame.y[y0:y1, x0:x1], sprite.keep_luma[luma], sprite.luma[luma], opacity)
    _over(frame.u[half], sprite.keep_chroma[chroma], sprite.u[chroma], opacity)
    _over(frame.v[half], sprite.keep_chroma[chroma], sprite.v[chroma], opacity)


def lay_drifting(
    frame: Frame,
    sprite: Sprite,
    dx: float,
    dy: float,
    opacity: float = 1.0,
    rows: tuple[int, int] | None = None,
) -> None:
    """Blend a sprite displaced by a distance between pixels.

    Its outermost `BORDER` pixels must be transparent: sampling moves the edge into them.
    """
    step_x, step_y = 2 * math.floor(dx / 2), 2 * math.floor(dy / 2)
    part_x, part_y = dx - step_x, dy - step_y
    lay(
        frame,
        Sprite(
            sprite.x + step_x + 2,
            sprite.y + step_y + 2,
            _shifted(sprite.keep_luma, 2, part_x, part_y),
            _shifted(sprite.keep_chroma, 1, part_x / 2, part_y / 2),
            _shifted(sprite.luma, 2, part_x, part_y),
            _shifted(sprite.u, 1, part_x / 2, part_y / 2),
            _shifted(sprite.v, 1, part_x / 2, part_y / 2),
        ),
        opacity,
        rows,
    )


def fill(
    frame: Frame, x0: float, y0: int, x1: float, y1: int, colour: Rgb, opacity: float = 1.0
) -> None:
    """Fill a box whose left and right edges may lie between pixels; its rows are even numbers."""
    x0, x1 = max(0.0, x0), min(float(frame.width), x1)
    if x1 <= x0 or y1 <= y0 or opacity <= 0.0:
        return
    luma, u, v = yuv_of(colour)
    _fill_plane(frame.y[y0:y1], x0, x1, luma, opacity)
    _fill_plane(frame.u[y0 // 2 : y1 // 2], x0 / 2, x1 / 2, u, opacity)
    _fill_plane(frame.v[y0 // 2 : y1 // 2], x0 / 2, x1 / 2, v, opacity)


def _fill_plane(rows: Bytes, x0: float, x1: float, value: float, opacity: float) -> None:
    first, last = math.ceil(x0), math.floor(x1)
    if opacity >= 1.0 and first <= last:  # most frames: all but the edges is a plain colour
        rows[:, first:last] = round(value)
        _mix_columns(rows, first - 1, x0, first, value, opacity)
        _mix_columns(rows, last, last, x1, value, opacity)
    else:
        _mix_columns(rows, math.floor(x0), x0, x1, value, opacity)


def _mix_columns(
    rows: Bytes, first: int, x0: float, x1: float, value: float, opacity: float
) -> None:
    """Blend a value into the columns from `first` on by how much of each lies within x0..x1."""
    if x1 <= x0:
        return
    columns = np.arange(first, math.ceil(x1), dtype=np.float32)
    share = np.clip(np.minimum(columns + 1, x1) - np.maximum(columns, x0), 0, 1) * opacity
    part = rows[:, first : first + len(columns)]
    part[:] = np.rint(part * (1 - share) + value * share).astype(np.uint8)


def _over(target: Bytes, keep: Bytes, source: Bytes, opacity: float) -> None:
    if opacity < 1.0:
        kept = cv2.convertScaleAbs(keep, alpha=opacity, beta=255.0 * (1.0 - opacity))
        keep = np.asarray(kept, np.uint8)
        source = np.asarray(cv2.convertScaleAbs(source, alpha=opacity), np.uint8)
    # Writing through `dst` of a view is not guaranteed; the copy of a box is cheap.
    np.copyto(target, cv2.add(cv2.multiply(target, keep, scale=1 / 255.0), source))


def _shifted(plane: Bytes, border: int, dx: float, dy: float) -> Bytes:
    """The plane without its border, its content moved right and down by less than the border."""
    width, height = plane.shape[1] - 2 * border, plane.shape[0] - 2 * border
    centre = (border - dx + (width - 1) / 2, border - dy + (height - 1) / 2)
    return np.asarray(cv2.getRectSubPix(plane, (width, height), centre), np.uint8)
