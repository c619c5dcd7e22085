"""Windows that slide over a long video, of which only one is in memory at a time."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import av
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import geometry, sampling
from keras_mtnet.video.rgb import Converter
from keras_mtnet.video.source import VideoError, VideoSource


class Window(NamedTuple):
    """One window: the number of its first frame, its crops uint8 `(num_crops, T, S, S, 3)`."""

    start: int
    clips: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sliding:
    """How windows lie in a video: clips of a specification, `step` frames apart.

    The last one ends with the video; a video shorter than a window loops. They are those of
    `sampling.dense_windows`.
    """

    spec: ClipSpec  # of which frames, size and stride are known
    step: int
    num_crops: int = 1

    def of_video(self, source: VideoSource) -> Iterator[Window]:
        """Yields the windows of a video; errors as of `VideoSource.stream`."""
        spec, count = self.spec, source.frame_count
        check_length(source.name, count, spec.stride or 1)
        wanted = np.unique(sampling.dense_windows(count, spec.frames, spec.stride, self.step))
        pixels = source.stream((spec.size, spec.size), self._boxes, wanted)
        yield from self._slide(zip(wanted.tolist(), pixels, strict=True), count)

    def of_frames(self, frames: Iterator[Any], rate: float, name: str) -> Iterator[Window]:
        """Yields the windows of RGB frames, uint8 `(H, W, 3)`, `rate` of which make a second."""
        convert = Converter((self.spec.size, self.spec.size), self._boxes)
        shown = self._resample(frames, rate / (self.spec.fps or rate))
        numbered = ((number, convert(_to_av(frame))) for number, frame in shown)
        yield from self._slide(numbered, None, name)

    @property
    def _boxes(self) -> Any:
        return functools.partial(geometry.uniform_squares, crops=self.num_crops)

    @staticmethod
    def _resample(frames: Iterator[Any], ratio: float) -> Iterator[tuple[int, Any]]:
        """Frames numbered at a rate of 1 / `ratio` of their own, the nearest in time each."""
        number = 0
        for place, frame in enumerate(frames):
            while math.ceil(number * ratio - 0.5 - 1e-9) <= place:
                yield number, frame
                number += 1

    def _slide(
        self, frames: Iterator[tuple[int, np.ndarray]], count: int | None, name: str = ""
    ) -> Iterator[Window]:
        length, stride = self.spec.frames, self.spec.stride
        span = (length - 1) * stride + 1
        kept: dict[int, np.ndarray] = {}
        start, newest = 0, -1

        def window(first: int, count: int | None = None) -> Window:
            numbers = first + np.arange(length) * stride
            numbers = numbers if count is None else numbers % count
            return Window(first, np.stack([kept[n] for n in numbers.tolist()], axis=1))

        for newest, pixels in frames:
            kept[newest] = pixels
            while start + span - 1 <= newest:
                yield window(start)
                start += self.step
            # The last window begins `span` frames before the end, wherever that will be.
            while kept and next(iter(kept)) < min(start, newest + 1 - span):
                del kept[next(iter(kept))]
        if count is None:
            count = newest + 1
            check_length(name, count, stride)
        if count < span:
            yield window(0, count)
        elif start - self.step < count - span:
            yield window(count - span)


def check_length(name: str, count: int, stride: int) -> None:
    """Raises VideoError if all frames of a clip would be the same one."""
    if count <= stride:
        reason = f"{count} frames; from one frame of a clip to the next there are {stride}"
        raise VideoError(name, reason)


def _to_av(frame: Any) -> av.VideoFrame:
    pixels = np.asarray(frame)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            "frames must be RGB, uint8 (H, W, 3) with values of 0 to 255. "
            f"Received: a frame of {pixels.dtype} {pixels.shape}"
        )
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
