"""Where things stand: lengths in relation to the frame, so that 360p and 2160p look alike.

The unit `u` is a hundredth of the shorter side. On vertical frames the player's own controls cover
the right edge and the bottom fifth; nothing of ours stands there.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """The places and sizes of one frame format."""

    width: int
    height: int
    u: float
    safe: Box
    """Nothing that is read stands outside of it."""
    bug: tuple[float, float]
    """Left end and vertical middle of the channel's name."""
    title: Box
    heading: Box
    motif: tuple[float, float]
    """Centre of the scene's ornament, and of a figure shown on it."""
    figure_width: float
    caption_middle: tuple[float, float]
    caption_width: float
    caption_size: float
    bar: Box
    """The progress indicator; its rows are even numbers."""
    rtl: bool = False
    """True when everything stands mirrored, for titles that run right to left."""

    def mirrored(self) -> "Layout":
        """The layout seen in a mirror; `bug` becomes the right end of the channel's name."""

        def turn(box: Box) -> Box:
            return Box(self.width - box.right, box.top, self.width - box.left, box.bottom)

        return replace(
            self,
            bug=(self.width - self.bug[0], self.bug[1]),
            title=turn(self.title),
            heading=turn(self.heading),
            motif=(self.width - self.motif[0], self.motif[1]),
            rtl=not self.rtl,
        )


def layout_for(width: int, height: int, *, rtl: bool = False) -> Layout:
    """The layout of a frame, mirrored when told."""
    layout = _vertical(width, height) if height > width else _landscape(width, height)
    return layout.mirrored() if rtl else layout


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))


def _landscape(w: int, h: int) -> Layout:
    u = min(w, h) / 100
    left = 0.075 * w
    bar = Box(0, h - _even(0.75 * u), w, h)
    return Layout(
        width=w,
        height=h,
        u=u,
        safe=Box(0.05 * w, 0.05 * h, 0.95 * w, 0.95 * h),
        bug=(left, 0.095 * h),
        title=Box(left, 0.225 * h, 0.76 * w, 0.675 * h),
        heading=Box(left, 0.225 * h, 0.56 * w, 0.665 * h),
        motif=(0.775 * w, 0.43 * h),
        figure_width=0.34 * w,
        caption_middle=(0.5 * w, 0.855 * h),
        caption_width=0.84 * w,
        caption_size=4.9 * u,
        bar=bar,
    )


def _vertical(w: int, h: int) -> Layout:
    u = min(w, h) / 100
    left = 0.075 * w
    top = _even(0.075 * h)
    return Layout(
        width=w,
        height=h,
        u=u,
        safe=Box(0.06 * w, 0.06 * h, 0.93 * w, 0.78 * h),
        bug=(left, 0.108 * h),
        title=Box(left, 0.195 * h, 0.9 * w, 0.52 * h),
        heading=Box(left, 0.19 * h, 0.9 * w, 0.36 * h),
        motif=(0.5 * w, 0.475 * h),
        figure_width=0.78 * w,
        caption_middle=(0.49 * w, 0.675 * h),
        caption_width=0.82 * w,
        caption_size=7.0 * u,
        bar=Box(left, top, w - left, top + _even(0.75 * u)),
    )
