"""Curves that lead motion in and out: progress 0..1 to 0..1, clamped outside."""

import math


def clamp(t: float) -> float:
    """Progress held within 0..1."""
    return min(1.0, max(0.0, t))


def out_cubic(t: float) -> float:
    """Fast at first, then settling: for what enters."""
    return 1.0 - (1.0 - clamp(t)) ** 3


def out_quint(t: float) -> float:
    """Like `out_cubic`, settling longer: for large type."""
    return 1.0 - (1.0 - clamp(t)) ** 5


def in_out_sine(t: float) -> float:
    """Slow at both ends: for dissolves."""
    return 0.5 - 0.5 * math.cos(math.pi * clamp(t))
