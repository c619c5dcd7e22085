"""The interface of all videos: frames by their numbers."""

import abc
import contextlib
import os
from collections.abc import Generator, Iterator, Sequence

import av
import numpy as np

from keras_mtnet.checks import check_above_0, given
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.rgb import Boxes, Converter

NO_FRAME = "it holds no frame"


class VideoError(ValueError):
    """A video that cannot be read.

    Attributes:
        name: the video.
        reason: what is wrong with it, in a few words.

    Example:

    >>> print(VideoError("a.mp4", "the file is empty"))
    a.mp4: the file is empty
    """

    def __init__(self, name: str | os.PathLike, reason: str):
        super().__init__(name, reason)
        self.name = os.fspath(name)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class EndsEarly(VideoError):
    """A frame was asked for that lies behind the last readable one.

    `VideoSource.frame_count` is right from now on, so that frames can be chosen again.
    """


class WrongIndexError(Exception):
    """Frames do not come as the index of their video says."""


class VideoSource(abc.ABC):
    """A video, or a part of one, at its own or another frame rate; arguments as for `open_video`.

    Nothing stays open between two reads, and reads from several threads do not disturb each other.

    Attributes:
        name: what messages call it.
        damage: what the reads so far found to be wrong with it, None for nothing.
    """

    def __init__(
        self,
        name: str,
        start: float | None = None,
        end: float | None = None,
        fps: float | None = None,
    ):
        check_above_0(**given(fps=fps))
        self.name = name
        self.damage: str | None = None
        self._start, self._end, self._fps = start, end, fps

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def frame_count(self) -> int:
        """How many frames there are to read; VideoError if there is none."""
        return self._count(self.index)

    def exact_count(self) -> int:
        """As `frame_count`, by decoding every frame, for the further reads as well."""
        self._index_exactly()
        return self.frame_count

    @property
    def fps(self) -> float | None:
        """Frames per second, None where that is unknown."""
        return self.index.fps if self._fps is None else self._fps

    def read(
        self,
        frames: np.ndarray | Sequence[int],
        boxes: Boxes | None = None,
        size: int | tuple[int, int] | None = None,
        flip: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reads frames by their numbers.

        Only they are converted and resized, and only they take memory.

        Args:
            frames: numbers `(n,)` in the order shown, from 0; in any order, repeats allowed.
            boxes: parts of each frame to return instead of whole ones, as
                `(top, left, height, width)` in pixels; or a function of the height and width of
                a frame that returns them.
            size: height and width to which each is resized, or the length of its shorter side;
                its own size when None.
            flip: mirror each left to right.
            out: memory of the result's shape to put it in.

        Returns:
            RGB, uint8 `(n, height, width, 3)`, or `(n, boxes, height, width, 3)`.

        Raises:
            EndsEarly: if there are fewer readable frames than `max(frames) + 1`.
            VideoError: if nothing can be read.
        """
        numbers = np.asarray(frames, "int64")
        if numbers.ndim != 1 or not len(numbers) or numbers.min() < 0:
            raise ValueError(f"frames must be a list of frame numbers from 0. Received: {frames}")
        convert = Converter(size, boxes, flip)
        while True:
            index = self.index
            try:
                return self._read(index, self._places(index, numbers), convert, out)
            except WrongIndexError as error:
                self._correct(index, error)

    def stream(
        self,
        size: int | tuple[int, int] | None = None,
        boxes: Boxes | None = None,
        frames: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields frames one by one, RGB uint8 `(height, width, 3)` or `(boxes, height, width, 3)`.

        `size` and `boxes` are as for `read`, `frames` increasing numbers `(n,)`; all when None.

        Raises:
            EndsEarly: where damage comes to light; a stream begun anew ends before it.
            VideoError: if nothing can be read.
        """
        index = self.index
        numbers = np.arange(self._count(index)) if frames is None else np.asarray(frames, "int64")
        places = self._places(index, numbers)
        wanted, repeats = np.unique(places, return_counts=True)
        try:
            converted = self._convert(index, wanted, Converter(size, boxes))
            for pixels, times in zip(converted, repeats, strict=True):
                yield from [pixels] * times
        except WrongIndexError as error:
            self._correct(index, error)
            raise EndsEarly(self.name, str(error)) from error

    def times(self, frames: np.ndarray | Sequence[int]) -> np.ndarray:
        """When frames are shown, in seconds since the first one of the file: float64 `(n,)`."""
        index = self.index
        shown: np.ndarray = index.times[self._places(index, np.asarray(frames, "int64"))]
        return shown

    @property
    def end(self) -> float:
        """When the last frame has been shown, in seconds since the first one of the file."""
        index = self.index
        first, count = self._segment(index)
        return index.end(first, count)

    @property
    @abc.abstractmethod
    def index(self) -> FrameIndex:
        """The frames of the whole video; VideoError if there is none."""

    def _index_exactly(self) -> None:
        """Makes `index` count frames by decoding; nothing to do where every count is exact."""
        return None

    @abc.abstractmethod
    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Generator[av.VideoFrame]:
        """Yields the frames of the numbers `wanted`, which increase.

        Raises:
            WrongIndexError: if they do not come as the index says.
            VideoError: if they cannot be read.
        """

    def _correct(self, index: FrameIndex, error: WrongIndexError) -> None:
        """Makes `index` return a better one; VideoError, as by default, if there is none."""
        raise VideoError(self.name, str(error)) from error

    def _segment(self, index: FrameIndex) -> tuple[int, int]:
        first, count = index.segment(self._start, self._end)
        if count < 1:
            damage = f" ({index.damage} after {index.count} frames)" if index.damage else ""
            reason = f"no frame between {self._start} and {self._end} seconds{damage}"
            raise VideoError(self.name, reason)
        return first, count

    def _count(self, index: FrameIndex) -> int:
        first, count = self._segment(index)
        return count if self._fps is None else index.resampled_count(self._fps, first, count)

    def _places(self, index: FrameIndex, numbers: np.ndarray) -> np.ndarray:
        """Frames of the whole video by their numbers in what is read of it."""
        first, count = self._segment(index)
        readable = self._count(index)
        if numbers.max() >= readable:
            reason = f"it ends after {readable} frames ({index.damage or 'no more'})"
            raise EndsEarly(self.name, reason)
        if self._fps is None:
            return first + numbers
        return index.nearest(numbers / self._fps, first, count)

    def _read(
        self, index: FrameIndex, places: np.ndarray, convert: Converter, out: np.ndarray | None
    ) -> np.ndarray:
        wanted, order = np.unique(places, return_inverse=True)
        found = None if out is None else out[: len(wanted)]
        for place, pixels in enumerate(self._convert(index, wanted, convert)):
            if found is None:
                found = np.empty((len(wanted), *pixels.shape), "uint8")
            found[place] = pixels
        assert found is not None  # there is no read of nothing
        if len(order) == len(wanted) and (np.diff(order) > 0).all():
            return found
        if out is None:
            return found[order]
        out[...] = found[order]
        return out

    def _convert(
        self, index: FrameIndex, wanted: np.ndarray, convert: Converter
    ) -> Iterator[np.ndarray]:
        """Yields the frames of the numbers `wanted` as arrays, and notes damage."""
        spoilt = None
        with contextlib.closing(self._decode(index, wanted)) as frames:
            for number, frame in zip(wanted, frames, strict=True):
                if frame.is_corrupt and spoilt is None:
                    spoilt = number
                try:
                    pixels = convert(frame)
                except (av.FFmpegError, MemoryError) as error:
                    reason = f"{frame.format.name} frames cannot be converted"
                    raise VideoError(self.name, reason) from error
                yield pixels
        if index.damage:
            self.damage = f"it ends after {index.count} frames ({index.damage})"
        elif spoilt is not None:
            self.damage = f"parts of frame {spoilt} are missing"
