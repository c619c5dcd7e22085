"""Decoded frames to RGB arrays: upright, cut, mirrored, resized.

What is cut away is never converted. All of it happens in FFmpeg's own filters, on the few bytes a
pixel has in the codec's colours, and outside of Python's lock.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

# In these formats frames are resized first and then become RGB: swscale takes up to four times as
# long to do both at once, and is no more exact then than without resizing.
_RESIZED_FIRST = ("yuv420p", "yuvj420p")
# What a filter calls the numbers by which frames tell their colours' matrix.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
# Filters that set frames upright, by quarter turns counter-clockwise.
_TURNS = ((), (("transpose", "cclock"),), (("hflip", ""), ("vflip", "")), (("transpose", "clock"),))
Box = tuple[int, int, int, int]  # top, left, height, width


class Cut(NamedTuple):
    """Boxes to cut out of frames, the same ones out of all frames of a read.

    Attributes:
        boxes: maps height and width of the upright frames to the boxes: top, left, height, width.
            Where a frame has fewer samples of colour than of brightness (4:2:0), edges move by up
            to one pixel, up and left, to where there is one.
        size: height and width to which the boxes are resized.
        flip: mirror them left to right.
    """

    boxes: Callable[[int, int], Sequence[Box]]
    size: tuple[int, int]
    flip: bool = False


def fit_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size `(height, width)` takes when its shorter side becomes `short_side` pixels."""
    scale = short_side / min(height, width)
    return max(short_side, round(height * scale)), max(short_side, round(width * scale))


class Converter:
    """Turns frames into RGB arrays of one size. Not for several threads at a time.

    Args:
        size: of whole frames, `(height, width)` or the length of the shorter side; their own when
            None. The first frame decides for all.
        cut: boxes of the frames to give, instead of whole frames; `size` then does not count.
    """

    def __init__(self, size: int | tuple[int, int] | None = None, cut: Cut | None = None):
        self._size = size
        self._cut = cut
        self._chains: dict[tuple, list[_Chain]] = {}

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 `(height, width, 3)`, or `(boxes, height, width, 3)` for a cut.

        Raises:
            av.FFmpegError: if FFmpeg cannot convert frames of this format.
        """
        turns = round(frame.rotation / 90) % 4
        colours = int(frame.colorspace), int(frame.color_range)
        kind = frame.width, frame.height, frame.format.name, *colours, turns
        if kind not in self._chains:
            self._chains[kind] = self._make_chains(frame, turns)
        parts = [chain(frame) for chain in self._chains[kind]]
        if self._cut is None:
            return parts[0]
        return parts[0][None] if len(parts) == 1 else np.stack(parts)

    def _make_chains(self, frame: av.VideoFrame, turns: int) -> "list[_Chain]":
        upright = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
        if self._cut is None:
            if not isinstance(self._size, tuple):
                short_side = self._size
                self._size = fit_short_side(*upright, short_side) if short_side else upright
            return [_Chain(frame, _TURNS[turns], self._size)]
        mirror = (("hflip", ""),) if self._cut.flip else ()
        boxes = self._cut.boxes(*upright)
        crops = [("crop", f"{width}:{height}:{left}:{top}") for top, left, height, width in boxes]
        return [_Chain(frame, (*_TURNS[turns], crop, *mirror), self._cut.size) for crop in crops]


class _Chain:
    """Filters with their arguments, then resizing to `(height, width)`, for frames of one kind.

    All of it is done by filters, which use the memory of their frames again.
    """

    def __init__(
        self, frame: av.VideoFrame, filters: Sequence[tuple[str, str]], size: tuple[int, int]
    ):
        self.height, self.width = size
        scale, name = f"{self.width}:{self.height}:flags=bilinear", frame.format.name
        filters = list(filters)
        if name in _RESIZED_FIRST:
            given, kept = _colours(frame)
            filters += [("scale", scale + given + kept), ("format", name)]
            scale += given
        self.graph = _make_graph(frame, [*filters, ("scale", scale), ("format", "rgb24")])

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        self.graph.push(frame)
        rgb = self.graph.pull()
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, "uint8").reshape(-1, plane.line_size)
        pixels = rows[: self.height, : 3 * self.width]
        return pixels.reshape(self.height, self.width, 3)


def _colours(frame: av.VideoFrame) -> tuple[str, str]:
    """Options by which a filter takes and gives colours as the frame has them, where it tells.

    By itself, a filter between others gives them as those of television in standard definition.
    """
    matrix, full_range = _MATRICES.get(int(frame.colorspace)), int(frame.color_range) == 2
    names = {"color_matrix": matrix, "range": "pc" if full_range else None}
    given, kept = (
        "".join(f":{side}_{name}={value}" for name, value in names.items() if value)
        for side in ("in", "out")
    )
    return given, kept


def _make_graph(frame: av.VideoFrame, filters: Sequence[tuple[str, str]]) -> av.filter.Graph:
    graph = av.filter.Graph()
    if hasattr(graph, "threads"):
        graph.threads = 1
    time_base = frame.time_base or Fraction(1, 25)
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=time_base
    )
    for name, arguments in (*filters, ("buffersink", "")):
        following = graph.add(name, arguments or None)
        last.link_to(following)
        last = following
    graph.configure()
    return graph
