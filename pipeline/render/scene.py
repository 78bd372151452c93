"""Drawing frames: what one scene looks like, and a film as the sequence of its scenes."""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2

from pipeline.domain import SectionKind
from pipeline.render import blend, lettering
from pipeline.render.caption_art import CaptionArtist
from pipeline.render.easing import clamp, in_out_sine, out_cubic, out_quint
from pipeline.render.grounds import FootageGround, GeneratedGround, Ground
from pipeline.render.layout import Box, Layout, layout_for
from pipeline.render.palette import BY_NAME, Palette
from pipeline.render.plan import DISSOLVE_SECONDS, Figure, Plan, Scene
from pipeline.render.planes import Canvas, Frame, Sprite, rounded_box
from pipeline.render.typography import bidi_base, words_of

ENTER_SECONDS = 0.7
STAGGER_SECONDS = 0.1
LEAVE_SECONDS = 0.23
CLOSE_SECONDS = 0.4


class FilmArtist:
    """Draws any frame of a plan; keeps the scene it drew last and its neighbours.

    Only a plan with clips needs an `ffmpeg`, which decodes them. Raises `Undecodable` for footage
    that cannot be shown.
    """

    def __init__(self, plan: Plan, ffmpeg: Path | None = None) -> None:
        self._plan = plan
        self._look = plan.look
        self._ffmpeg = ffmpeg
        rtl = bool(bidi_base(words_of(plan.look.title)))
        self._layout = layout_for(plan.look.width, plan.look.height, rtl=rtl)
        self._palette = BY_NAME[plan.look.palette]
        self._captions = CaptionArtist(self._layout, self._palette)
        self._mark, self._mark_over_footage = (
            lettering.mark(plan.look.channel, palette, self._layout)
            for palette in (self._palette, self._palette.over_footage())
        )
        self._track = self._draw_track()
        self._scenes: dict[int, SceneArtist] = {}
        self._other = Frame(plan.look.width, plan.look.height)

    def draw(self, frame: Frame, n: int) -> None:
        """Fill a frame with frame n of the film."""
        look = self._look
        index = next(i for i in range(len(self._plan.scenes)) if n < look.bounds[i + 1])
        scene = self._scene(index)
        scene.draw_ground(frame, n)
        age, share = (n - look.bounds[index]) / look.fps, 1.0
        if index and age < DISSOLVE_SECONDS:
            self._scene(index - 1).draw_ground(self._other, n)
            share = in_out_sine((age + 0.5 / look.fps) / DISSOLVE_SECONDS)
            cv2.addWeighted(frame.buffer, share, self._other.buffer, 1 - share, 0, frame.buffer)
        scene.draw_type(frame, n)
        self._draw_mark(frame, index, share)
        self._draw_caption(frame, n, scene.scene)
        self._draw_progress(frame, n)
        self._draw_close(frame, n)

    def close(self) -> None:
        """End the decoders of clips; drawing on starts them anew."""
        for scene in self._scenes.values():
            scene.close()

    def _scene(self, index: int) -> "SceneArtist":
        if index not in self._scenes:
            for other in [i for i in self._scenes if abs(i - index) > 1]:
                self._scenes.pop(other).close()
            mark = self._mark
            box = Box(mark.x, mark.y, mark.x + mark.width, mark.y + mark.height)
            self._scenes[index] = SceneArtist(
                self._plan, index, self._layout, self._palette, box, self._ffmpeg
            )
        return self._scenes[index]

    def _draw_mark(self, frame: Frame, index: int, share: float) -> None:
        """The channel's mark, in the colours of the scene and, by the rest, of the one before."""
        here = self._plan.scenes[index].footage is not None
        before = self._plan.scenes[max(0, index - 1)].footage is not None
        if share < 1.0 and before is not here:
            blend.lay(frame, self._mark_over_footage if before else self._mark, 1 - share)
            blend.lay(frame, self._mark_over_footage if here else self._mark, share)
        else:
            blend.lay(frame, self._mark_over_footage if here else self._mark)

    def _draw_caption(self, frame: Frame, n: int, scene: Scene) -> None:
        cue = next((cue for cue in scene.cues if cue.first <= n < cue.last), None)
        if cue is None:
            return
        active = next((i for i, w in enumerate(cue.words) if w.first <= n < w.last), None)
        sprite = self._captions.sprite(cue, active)
        age = (n - cue.first + 1) / self._look.fps
        rise = 1.0 - out_cubic(age / 0.13)
        if rise > 0:
            blend.lay_drifting(frame, sprite, 0, rise * 1.2 * self._layout.u, 1 - 0.4 * rise)
        else:
            blend.lay(frame, sprite)

    def _bars(self) -> list[tuple[float, float]]:
        """The left and right ends of the progress indicator's parts, one a scene."""
        look, bar = self._look, self._layout.bar
        gap = 0.4 * self._layout.u
        scale = (bar.width + gap) / look.frames
        ends = [
            (bar.left + first * scale, bar.left + last * scale - gap)
            for first, last in pairwise(look.bounds)
        ]
        return [(left, right) for left, right in ends if right > left]

    def _draw_track(self) -> Sprite:
        """The indicator before anything has passed."""
        bar = self._layout.bar
        canvas = Canvas(self._look.width, int(bar.bottom - bar.top))
        for left, right in self._bars():
            part = rounded_box(right - left, canvas.height, 0)
            canvas.paint(part, left, 0, self._palette.text, 0.25)
        return canvas.sprite(0, int(bar.top))

    def _draw_progress(self, frame: Frame, n: int) -> None:
        """A bar with one part a scene, filled up to this frame."""
        look, bar = self._look, self._layout.bar
        blend.lay(frame, self._track)
        reached = bar.left + bar.width * (n + 1) / look.frames
        for left, right in self._bars():
            end = min(right, reached)
            if end > left:
                blend.fill(frame, left, int(bar.top), end, int(bar.bottom), self._palette.accent)

    def _draw_close(self, frame: Frame, n: int) -> None:
        """The last frames go to black."""
        left = (self._look.frames - n) / self._look.fps
        if left < CLOSE_SECONDS and self._look.frames > self._look.fps:
            light = in_out_sine(left / CLOSE_SECONDS)
            for plane, floor in ((frame.y, 16.0), (frame.u, 128.0), (frame.v, 128.0)):
                plane[:] = cv2.convertScaleAbs(plane, alpha=light, beta=floor * (1 - light))


class SceneArtist:
    """Draws one scene: its ground, its heading and its figures."""

    def __init__(
        self,
        plan: Plan,
        index: int,
        layout: Layout,
        palette: Palette,
        mark: Box,
        ffmpeg: Path | None,
    ) -> None:
        self.scene = plan.scenes[index]
        self._fps = plan.look.fps
        picture = self.scene.footage
        self._pictured = picture is not None
        self._layout = layout
        self._palette = palette.over_footage() if self._pictured else palette
        self._face = plan.look.title_face
        self._is_last = index == len(plan.scenes) - 1
        self._hook = self.scene.kind is SectionKind.HOOK
        self._prepare_type(plan)
        self._ground: Ground
        if picture is None:
            self._ground = GeneratedGround(self.scene, self._fps, layout, palette)
        else:
            self._ground = FootageGround(
                self.scene, picture, plan.look, palette, self._typed(), mark, ffmpeg
            )
        self._figure = lru_cache(maxsize=2)(self._set_figure)

    def close(self) -> None:
        """See `Ground.close`."""
        self._ground.close()

    def _typed(self) -> Box | None:
        """Where the heading stands, with some air."""
        if self._heading is None:
            return None
        box, u = self._heading.box, self._layout.u
        return Box(box.left - 2 * u, box.top - 2 * u, box.right + 2 * u, box.bottom + 3 * u)

    def _prepare_type(self, plan: Plan) -> None:
        layout, palette, u = self._layout, self._palette, self._layout.u
        text = plan.look.title if self._hook else self.scene.heading
        box = layout.title if self._hook else layout.heading
        self._heading: lettering.Heading | None = None
        self._kicker: tuple[Sprite, float] | None = None
        if not text:
            return
        vertical = layout.height > layout.width
        self._heading = lettering.heading(
            text,
            self._face,
            box,
            largest=(11.6 if self._hook else 9.4) * u,
            smallest=4.4 * u if self._hook else 4.2 * u,
            max_lines=(7 if vertical else 5) if self._hook else 4,
            colour=palette.text,
            shadow=0.0 if palette.light else 1.6 * u,
            flush_right=layout.rtl,
        )
        kicker = self.scene.heading if self._hook else f"{self.scene.number:02d}"
        if self._hook and kicker.casefold() == text.casefold():
            kicker = ""
        if not self._hook and not self.scene.number:
            kicker = ""
        edge = self._heading.box
        self._rule = Box(
            edge.right - 9 * u if self._layout.rtl else edge.left,
            edge.top - 4.6 * u,
            edge.right if self._layout.rtl else edge.left + 9 * u,
            edge.top - 4.0 * u,
        )
        if not kicker:
            return
        side = edge.right if layout.rtl else edge.left
        if self._pictured:
            self._kicker = lettering.chip(
                kicker,
                side,
                edge.top - 6.2 * u,
                2.9 * u,
                palette,
                width=box.width,
                flush_right=layout.rtl,
            )
        else:
            self._kicker = lettering.label(
                kicker,
                side,
                edge.top - 7.6 * u,
                3.4 * u,
                palette.accent,
                width=box.width,
                flush_right=layout.rtl,
            )

    def draw_ground(self, frame: Frame, n: int) -> None:
        """The ground with everything that floats on it."""
        hush = max((self._figure_opacity(f, n) for f in self.scene.figures), default=0.0)
        self._ground.draw(frame, n, hush)

    def draw_type(self, frame: Frame, n: int) -> None:
        """Heading, kicker, rule and figure as they stand in frame n."""
        age = (n - self.scene.first) / self._fps
        left = (self.scene.last - n) / self._fps
        leaving = 1.0 if self._is_last else clamp(left / LEAVE_SECONDS)
        if self._heading is not None:
            self._draw_heading(frame, self._heading, age, leaving)
        for figure in self.scene.figures:
            if figure.first <= n < figure.last:
                self._draw_figure(frame, figure, n, leaving)

    def _draw_heading(
        self, frame: Frame, heading: lettering.Heading, age: float, leaving: float
    ) -> None:
        u, rule = self._layout.u, self._rule
        grown = out_quint(age / ENTER_SECONDS)
        x0 = rule.right - rule.width * grown if self._layout.rtl else rule.left
        x1 = rule.right if self._layout.rtl else rule.left + rule.width * grown
        top = 2 * round(rule.top / 2)
        height = max(2, 2 * round(rule.height / 2))
        if not (self._pictured and self._kicker):  # a tile in its place says the same
            blend.fill(frame, x0, top, x1, top + height, self._palette.accent, leaving)
        if self._kicker:
            shown = out_cubic(age / ENTER_SECONDS)
            slide = (1 - shown) * 2.5 * u * (1 if self._layout.rtl else -1)
            blend.lay_drifting(frame, self._kicker[0], slide, 0, shown * leaving)
        for i, line in enumerate(heading.lines):
            risen = out_quint((age - 0.06 - STAGGER_SECONDS * i) / ENTER_SECONDS)
            if risen >= 0.9995:
                blend.lay(frame, line.sprite, leaving)
            else:
                drop = (1 - risen) * line.leading * 1.15
                opacity = min(1.0, risen * 3) * leaving
                blend.lay_drifting(frame, line.sprite, 0, drop, opacity, line.rows)

    def _draw_figure(self, frame: Frame, figure: Figure, n: int, leaving: float) -> None:
        shown = out_cubic(((n - figure.first) / self._fps + 0.03) / 0.35)
        opacity = min(self._figure_opacity(figure, n), leaving)
        sprite = self._figure(figure.text)
        if shown < 1:
            blend.lay_drifting(frame, sprite, 0, (1 - shown) * 3 * self._layout.u, opacity)
        else:
            blend.lay(frame, sprite, opacity)

    def _figure_opacity(self, figure: Figure, n: int) -> float:
        age, left = (n - figure.first) / self._fps, (figure.last - n) / self._fps
        return min(out_cubic((age + 0.03) / 0.35), clamp(left / 0.25)) if age >= 0 else 0.0

    def _set_figure(self, text: str) -> Sprite:
        return lettering.figure(text, self._face, self._palette, self._layout, boxed=self._pictured)
