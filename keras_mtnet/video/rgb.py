"""Decoded frames to RGB arrays: rotated upright, cropped, mirrored, resized.

What is cut away is never converted. All of it happens in FFmpeg's own filters, on the few bytes a
pixel has in the codec's colors, and outside of Python's lock.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

# In these formats frames are resized first and then become RGB: swscale takes up to four times as
# long to do both at once, and is no more exact then than without resizing.
_RESIZED_FIRST = ("yuv420p", "yuvj420p")
# What a filter calls the numbers by which frames tell their colors' matrix.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}

Box = tuple[int, int, int, int]  # top, left, height, width
Boxes = Sequence[Box] | Callable[[int, int], Sequence[Box]]
_Filters = tuple[tuple[str, str], ...]
# The last kind of side data that PyAV has a name for; it fails on frames with a later one.
_LAST_NAMED = len(SideDataType) - 1


def fit_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size `(height, width)` takes when its shorter side becomes `short_side` pixels.

    >>> fit_short_side(240, 320, short_side=120)
    (120, 160)
    """
    scale = short_side / min(height, width)
    return max(short_side, round(height * scale)), max(short_side, round(width * scale))


class Converter:
    """Turns frames into RGB arrays of one size, by default that of the first. Not thread-safe.

    `size`, `boxes` and `flip` are as for `VideoSource.read`. Where a frame has fewer samples of
    color than of brightness (4:2:0), edges of boxes move by up to one pixel, up and left, to where
    there is one.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        boxes: Boxes | None = None,
        flip: bool = False,
    ):
        if size is not None and not np.all(np.asarray(size) >= 1):
            raise ValueError(f"size must be at least 1. Received: size={size}")
        self._size = size
        self._boxes = boxes
        self._flip = flip
        self._chains: dict[tuple, list[_Chain]] = {}

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 `(height, width, 3)`, or `(boxes, height, width, 3)`."""
        colors = int(frame.colorspace), int(frame.color_range)
        kind = frame.width, frame.height, frame.format.name, *colors, frame.rotation
        if kind not in self._chains:
            self._chains[kind] = self._make_chains(frame, _upright(frame))
        parts = [chain(frame) for chain in self._chains[kind]]
        if self._boxes is None:
            return parts[0]
        return parts[0][None] if len(parts) == 1 else np.stack(parts)

    def _make_chains(self, frame: av.VideoFrame, turn: _Filters) -> "list[_Chain]":
        turned = any(name == "transpose" for name, _ in turn)
        size = (frame.width, frame.height) if turned else (frame.height, frame.width)
        mirror = (("hflip", ""),) if self._flip else ()
        if self._boxes is None:
            return [_Chain(frame, (*turn, *mirror), self._fit(*size))]
        boxes = self._boxes(*size) if callable(self._boxes) else self._boxes
        return [
            _Chain(
                frame,
                (*turn, ("crop", f"{width}:{height}:{left}:{top}"), *mirror),
                self._fit(height, width),
            )
            for top, left, height, width in boxes
        ]

    def _fit(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self._size, tuple):
            short_side = self._size
            self._size = (
                (height, width) if short_side is None else fit_short_side(height, width, short_side)
            )
        return self._size


def _upright(frame: av.VideoFrame) -> _Filters:
    """Filters that show a frame as its display matrix says, to the nearest quarter turn.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y), the signs of which tell one of eight
    positions: turned by quarters, mirrored or not.
    """
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        data = _without_unnamed(frame).side_data.get("DISPLAYMATRIX")
    if data is None:
        return ()
    a, b, _, c, d = np.frombuffer(data, "int32", 5).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (*((("hflip", ""),) if a < 0 else ()), *((("vflip", ""),) if d < 0 else ()))
    name = {(1, 0): "clock", (0, 1): "cclock", (1, 1): "cclock_flip", (0, 0): "clock_flip"}
    return (("transpose", name[b > 0, c > 0]),)


def _without_unnamed(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame without the side data that PyAV has no name for, as the EXIF of a JPEG."""
    kinds = range(_LAST_NAMED + 1, _LAST_NAMED + 9)
    graph = _make_graph(frame, [("sidedata", f"mode=delete:type={kind}") for kind in kinds])
    graph.push(frame)
    plain: Any = graph.pull()
    return plain


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
            given, kept = _colors(frame)
            filters += [("scale", scale + given + kept), ("format", name)]
            scale += given
        self.graph = _make_graph(frame, [*filters, ("scale", scale), ("format", "rgb24")])

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        self.graph.push(frame)
        plane: Any = self.graph.pull().planes[0]
        rows = np.frombuffer(plane, "uint8").reshape(-1, plane.line_size)
        pixels = rows[: self.height, : 3 * self.width]
        return pixels.reshape(self.height, self.width, 3)


def _colors(frame: av.VideoFrame) -> tuple[str, str]:
    """Options by which a filter takes and returns colors as the frame has them, where it tells.

    By itself, a filter between others returns them as those of television in standard definition.
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
