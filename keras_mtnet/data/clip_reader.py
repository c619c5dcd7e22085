"""Clips of single videos as NumPy arrays."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import geometry, sampling
from keras_mtnet.data.augment import PRESETS, Augment
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.videos import Video
from keras_mtnet.video.opening import open_video
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.rgb import Box
from keras_mtnet.video.source import EndsEarly, VideoError, VideoSource

_READ_AHEAD = 2**29  # bytes of views that are read ahead of a network
_AREA_DRAWS = 22  # numbers that `geometry.random_box` takes


@dataclasses.dataclass(frozen=True)
class ClipDraws:
    """The random numbers of a training clip, all in [0, 1)."""

    start: float  # where the window begins
    top: float  # where the crop lies, from the highest place to the lowest
    left: float  # the same from left to right
    flip: float  # below the probability of it, the clip is mirrored
    areas: np.ndarray  # (22,), size and place of a crop of random area
    segments: np.ndarray  # (frames,), which frame of each segment is taken

    @classmethod
    def draw(cls, generator: np.random.Generator, frames: int) -> "ClipDraws":
        """Draws the numbers of a clip of `frames` frames."""
        start, top, left, flip, *others = generator.random(4 + _AREA_DRAWS + frames)
        return cls(
            start, top, left, flip, np.array(others[:_AREA_DRAWS]), np.array(others[_AREA_DRAWS:])
        )


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Reads clips of a specification; the others are as for `clips`. Thread-safe.

    A crop is a square of 0.8 of the frame's shorter side, resized. Of `augment` only flip and crop
    are applied here. `cache` is what was learned about files.

    Example:

    >>> frames = np.zeros((40, 48, 64, 3), "uint8")
    >>> reader = ClipReader(ClipSpec(frames=16, stride=2, size=32))
    >>> reader.views(frames, num_clips=2, num_crops=3).shape
    (6, 16, 32, 32, 3)
    """

    spec: ClipSpec  # of which frames and size are known
    augment: Augment = PRESETS["none"]
    report: ReadReport = dataclasses.field(default_factory=ReadReport)
    strict: bool = False
    cache: ReadCache = dataclasses.field(default_factory=ReadCache)

    def __post_init__(self) -> None:
        check_counts(frames=self.spec.frames, size=self.spec.size)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of a clip: frames, height, width, colors."""
        return self.spec.frames, self.spec.size, self.spec.size, 3

    def random_clip(
        self, video: Any, draws: ClipDraws, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Reads the training clip that `draws` choose, uint8 `(T, S, S, 3)`, into `out` if given.

        `video` is a `Video` of a list, or anything that `video.open_video` takes.

        Raises:
            VideoError: if it cannot be read.
        """
        spec = self.spec

        def choose(count: int) -> np.ndarray:
            if spec.sampling == "uniform":
                return sampling.segment_frames(count, spec.frames, draws.segments)
            return sampling.random_window(count, spec.frames, spec.stride or 1, draws.start)

        def boxes(height: int, width: int) -> list[Box]:
            if self.augment.crop_area is None:
                return [geometry.random_square(height, width, draws.top, draws.left)]
            limits = self.augment.crop_area, self.augment.crop_aspect
            return [geometry.random_box(height, width, *limits, draws.areas)]

        flip = draws.flip < self.augment.flip
        clip = None if out is None else out[:, None]
        return self._read(video, choose, boxes, flip, clip)[:, 0]

    def views(self, video: Any, num_clips: int = 1, num_crops: int = 1) -> np.ndarray:
        """Reads the views that a test averages over: uint8 `(num_clips * num_crops, T, S, S, 3)`.

        Clips are windows spread uniformly over the video, a single one its middle; with uniform
        sampling, frames spread uniformly over each segment. Crops are spread along the longer side,
        a single one the center. All crops of the first window come first.

        Raises:
            VideoError: if it cannot be read.
        """
        check_counts(num_clips=num_clips, num_crops=num_crops)
        boxes = functools.partial(geometry.uniform_squares, crops=num_crops)
        pixels = self._read(video, lambda count: self._windows(count, num_clips).ravel(), boxes)
        return self._by_view(pixels, num_clips)

    def views_by_clip(
        self, source: VideoSource, num_clips: int, num_crops: int
    ) -> Iterator[np.ndarray]:
        """Yields what `views` returns clip by clip: uint8 `(num_crops, T, S, S, 3)`.

        Raises:
            EndsEarly: where damage comes to light; begin anew then, with the same source.
            VideoError: if it cannot be read.
        """
        size = self.spec.size, self.spec.size
        for window in self._windows(source.frame_count, num_clips):
            pixels = source.read(
                window,
                lambda height, width: geometry.uniform_squares(height, width, num_crops),
                size,
            )
            yield self._by_view(pixels, 1)
        self._note_damage(source)

    def _windows(self, count: int, num_clips: int) -> np.ndarray:
        """Frame numbers of the clips of a test, int64 `(num_clips, frames)`."""
        spec = self.spec
        if spec.sampling == "uniform":
            shares = (np.arange(num_clips) + 0.5) / num_clips
            return np.stack([sampling.segment_frames(count, spec.frames, u) for u in shares])
        return sampling.uniform_windows(count, spec.frames, spec.stride or 1, num_clips)

    def _by_view(self, pixels: np.ndarray, num_clips: int) -> np.ndarray:
        """Frames of clips `(num_clips * frames, crops, S, S, 3)` as views, clip by clip."""
        pixels = pixels.reshape(num_clips, self.spec.frames, *pixels.shape[1:])
        return pixels.swapaxes(1, 2).reshape(-1, *self.shape)

    def read_ahead_fits(self, num_clips: int, num_crops: int) -> bool:
        """Whether all views of a video take less than 512 MB."""
        return num_clips * num_crops * math.prod(self.shape) <= _READ_AHEAD

    def parallel_views(self, num_clips: int, num_crops: int) -> int:
        """How many videos to read views of at a time: one per CPU, if all take less than 512 MB."""
        size = num_clips * num_crops * math.prod(self.shape)
        return min(os.cpu_count() or 1, max(1, _READ_AHEAD // size))

    def _read(
        self,
        video: Any,
        choose: Callable[[int], np.ndarray],
        boxes: Callable[[int, int], list[Box]],
        flip: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Boxes of the chosen frames, uint8 `(n, boxes, S, S, 3)`."""
        size = self.spec.size, self.spec.size
        with self.open(video) as source:
            try:
                pixels = source.read(choose(source.frame_count), boxes, size, flip, out)
            except EndsEarly:  # damage came to light: choose again among the frames before it
                pixels = source.read(choose(source.frame_count), boxes, size, flip, out)
        self._note_damage(source)
        return pixels

    def open(self, video: Any) -> VideoSource:
        """Describes a `Video`, or what `video.open_video` takes, at the rate of the clips."""
        if isinstance(video, Video):
            return video.open(self.spec.fps, self.cache)
        return open_video(video, fps=self.spec.fps, cache=self.cache)

    def _note_damage(self, source: VideoSource) -> None:
        if source.damage and self.strict:
            raise VideoError(source.name, source.damage)
        if source.damage:
            self.report.damaged[source.name] = source.damage


def read_clip(path: str, frames: int = 16, stride: int = 1, size: int | None = None) -> np.ndarray:
    """The middle clip of one video, RGB uint8 `(frames, height, width, 3)`, for looking at it.

    Args:
        path: a video file, or a folder of pictures.
        frames: frames in the clip.
        stride: distance between neighboring frames.
        size: side in pixels of a center crop, cut as for `clips`; the whole frames when None.

    Raises:
        VideoError: if the file cannot be read.
    """
    check_counts(frames=frames, stride=stride)
    if size is not None:
        return ClipReader(ClipSpec(frames, stride, size)).views(path)[0]
    with open_video(path) as video:
        return video.read(sampling.uniform_windows(video.frame_count, frames, stride, 1)[0])
