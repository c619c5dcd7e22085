"""Clips of single videos as NumPy arrays."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_mtnet.checks import check_above_0, check_counts, given
from keras_mtnet.clip_spec import SAMPLINGS
from keras_mtnet.data import geometry, sampling
from keras_mtnet.data.augment import PRESETS, Augment
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.videos import Video
from keras_mtnet.video.opening import open_video
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.rgb import Box
from keras_mtnet.video.source import EndsEarly, VideoError

_READ_AHEAD = 2**29  # bytes of views that are read ahead of a network
_AREA_DRAWS = 22  # numbers that `geometry.random_box` takes


@dataclasses.dataclass(frozen=True)
class ClipDraws:
    """The random numbers of a training clip, all in [0, 1).

    Attributes:
        start: where the window begins.
        top: where the crop lies, from the highest place to the lowest.
        left: the same from left to right.
        flip: below the probability of it, the clip is mirrored.
        areas: `(22,)`, size and place of a crop of random area.
        segments: `(frames,)`, which frame of each segment is taken.

    Example:

    >>> draws = ClipDraws.draw(np.random.default_rng(0), frames=16)
    >>> draws.segments.shape
    (16,)
    """

    start: float
    top: float
    left: float
    flip: float
    areas: np.ndarray
    segments: np.ndarray

    @classmethod
    def draw(cls, generator: np.random.Generator, frames: int) -> "ClipDraws":
        """Draws the numbers of a clip of `frames` frames."""
        start, top, left, flip, *others = generator.random(4 + _AREA_DRAWS + frames)
        return cls(
            start, top, left, flip, np.array(others[:_AREA_DRAWS]), np.array(others[_AREA_DRAWS:])
        )


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Reads clips of one shape. Thread-safe.

    Attributes:
        frames: frames of a clip.
        stride: distance between neighboring frames of a clip, in frames of the video.
        size: height and width of a clip in pixels. A crop is a square of 0.8 of the frame's shorter
            side, resized to that.
        fps: frame rate to which videos are resampled before frames are picked; None takes them at
            their own rate.
        sampling: `"window"` (frames at `stride`) or `"uniform"` (one frame of each of `frames`
            equal segments of the video).
        augment: flip and crop of training clips. Nothing else of it is applied here.
        report: takes the names of damaged videos.
        strict: raise for a damaged video, too.
        cache: what was learned about files.

    Raises:
        ValueError: for a wrong value.

    Example:

    >>> frames = np.zeros((40, 48, 64, 3), "uint8")
    >>> reader = ClipReader(frames=16, stride=2, size=32)
    >>> reader.views(frames, num_clips=2, num_crops=3).shape
    (6, 16, 32, 32, 3)
    """

    frames: int
    stride: int
    size: int
    fps: float | None = None
    sampling: str = "window"
    augment: Augment = PRESETS["none"]
    report: ReadReport = dataclasses.field(default_factory=ReadReport)
    strict: bool = False
    cache: ReadCache = dataclasses.field(default_factory=ReadCache)

    def __post_init__(self) -> None:
        check_counts(frames=self.frames, stride=self.stride, size=self.size)
        check_above_0(**given(fps=self.fps))
        if self.sampling not in SAMPLINGS:
            raise ValueError(
                f"sampling must be one of {SAMPLINGS}. Received: sampling={self.sampling!r}"
            )

    def random_clip(
        self, video: Any, draws: ClipDraws, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Reads a training clip.

        Args:
            video: a `Video` of a list, or anything that `video.open_video` takes.
            draws: the numbers that choose window, crop and flip.
            out: memory for the clip.

        Returns:
            RGB, uint8 `(T, S, S, 3)`.

        Raises:
            VideoError: if it cannot be read.
        """

        def choose(count: int) -> np.ndarray:
            if self.sampling == "uniform":
                return sampling.segment_frames(count, self.frames, draws.segments)
            return sampling.random_window(count, self.frames, self.stride, draws.start)

        def boxes(height: int, width: int) -> list[Box]:
            if self.augment.crop_area is None:
                return [geometry.random_square(height, width, draws.top, draws.left)]
            limits = self.augment.crop_area, self.augment.crop_aspect
            return [geometry.random_box(height, width, *limits, draws.areas)]

        flip = draws.flip < self.augment.flip
        clip = None if out is None else out[:, None]
        return self._read(video, choose, boxes, flip, clip)[:, 0]

    def views(self, video: Any, num_clips: int = 1, num_crops: int = 1) -> np.ndarray:
        """Reads the views of a video that a test averages over.

        Args:
            video: as for `random_clip`.
            num_clips: windows, spread uniformly over the video; a single one is the middle. With
                uniform sampling, clips of frames spread uniformly over each segment.
            num_crops: crops of each window, spread along the longer side; a single one is the
                center.

        Returns:
            RGB, uint8 `(num_clips * num_crops, T, S, S, 3)`, all crops of the first window first.

        Raises:
            VideoError: if it cannot be read.
        """
        check_counts(num_clips=num_clips, num_crops=num_crops)

        def choose(count: int) -> np.ndarray:
            if self.sampling == "uniform":
                shares = (np.arange(num_clips) + 0.5) / num_clips
                return np.ravel([sampling.segment_frames(count, self.frames, u) for u in shares])
            return sampling.uniform_windows(count, self.frames, self.stride, num_clips).ravel()

        def boxes(height: int, width: int) -> list[Box]:
            return geometry.uniform_squares(height, width, num_crops)

        pixels = self._read(video, choose, boxes)
        pixels = pixels.reshape(num_clips, self.frames, num_crops, *pixels.shape[2:])
        return pixels.swapaxes(1, 2).reshape(-1, self.frames, *pixels.shape[3:])

    def parallel_views(self, num_clips: int, num_crops: int) -> int:
        """How many videos to read views of at a time: one per CPU, if all take less than 512 MB."""
        size = num_clips * num_crops * self.frames * self.size**2 * 3
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
        size = self.size, self.size
        if isinstance(video, Video):
            source = video.open(self.fps, self.cache)
        else:
            source = open_video(video, fps=self.fps, cache=self.cache)
        with source:
            try:
                pixels = source.read(choose(source.frame_count), boxes, size, flip, out)
            except EndsEarly:  # damage came to light: choose again among the frames before it
                pixels = source.read(choose(source.frame_count), boxes, size, flip, out)
        if source.damage and self.strict:
            raise VideoError(source.name, source.damage)
        if source.damage:
            self.report.add_damaged(source.name, source.damage)
        return pixels


def read_clip(path: str, frames: int = 16, stride: int = 1, size: int | None = None) -> np.ndarray:
    """The middle clip of one video, for looking at it.

    Args:
        path: a video file, or a folder of pictures.
        frames: frames in the clip.
        stride: distance between neighboring frames.
        size: side in pixels of a center crop, cut as for `clips`; the whole frames when None.

    Returns:
        RGB, uint8 `(frames, height, width, 3)`.

    Raises:
        VideoError: if the file cannot be read.
    """
    check_counts(frames=frames, stride=stride)
    if size is not None:
        return ClipReader(frames, stride, size).views(path)[0]
    with open_video(path) as video:
        return video.read(sampling.uniform_windows(video.frame_count, frames, stride, 1)[0])
