"""Which frames a video has, and when each is shown."""

import dataclasses

import numpy as np

# A longer time between two frames than this, and than ten usual ones, is a gap in the recording.
_GAP = 0.5  # seconds
_NO_NUMBERS = np.zeros(0, "int64")


@dataclasses.dataclass(frozen=True)
class Keyframes:
    """Frames at which decoding can begin.

    Attributes:
        numbers: which frames they are, int64 `(keys,)`, increasing.
        packets: int64 `(keys, 2)`, position in the file and size of their packets, by which they
            are recognized.
    """

    numbers: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS)
    packets: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS.reshape(0, 2))


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """The frames of one video.

    Attributes:
        ticks: int64 `(frames,)`, presentation times in units of `tick`, increasing.
        tick: length of a tick in seconds.
        by_packets: whether `ticks` are the times of packets, by which the frames that a decoder
            returns can be told apart. Otherwise they have to be counted from the start.
        quick: whether the file can be opened without looking into its streams.
        reordered: whether packets come in another order than their frames are shown in.
        order: int64 `(frames,)`, which frame each packet holds, where packets have no times.
        keys: frames at which decoding can begin, besides the first.
        damage: why the video ends before its last packet, None for a sound one.

    Example:

    >>> index = FrameIndex.even(100, fps=25)
    >>> index.segment(1.0, 2.0)
    (25, 25)
    >>> index.resampled_count(5.0, first=25, count=25)
    5
    """

    ticks: np.ndarray
    tick: float
    by_packets: bool = False
    quick: bool = False
    reordered: bool = False
    order: np.ndarray | None = None
    keys: Keyframes = dataclasses.field(default_factory=Keyframes)
    damage: str | None = None

    @classmethod
    def even(cls, count: int, fps: float, damage: str | None = None) -> "FrameIndex":
        """`count` frames at an even rate."""
        return cls(np.arange(count), 1 / fps, damage=damage)

    @property
    def count(self) -> int:
        return len(self.ticks)

    @property
    def times(self) -> np.ndarray:
        """float64 `(frames,)`, seconds since the first frame, increasing."""
        return (self.ticks - self.ticks[:1]) * self.tick

    @property
    def fps(self) -> float | None:
        """Frames per second on average, gaps left out; None for a single frame."""
        times, _ = self._without_gaps(0, self.count)
        return (self.count - 1) / float(times[-1]) if self.count > 1 else None

    @property
    def nbytes(self) -> int:
        arrays = (self.ticks, self.order, self.keys.numbers, self.keys.packets)
        return sum(array.nbytes for array in arrays if array is not None)

    def segment(self, start: float | None, end: float | None) -> tuple[int, int]:
        """First frame and number of frames of the part from `start` to `end` seconds."""
        if start is None and end is None:
            return 0, self.count
        times = self.times
        first = 0 if start is None else int(np.searchsorted(times, start - 1e-6))
        last = self.count if end is None else int(np.searchsorted(times, end - 1e-6))
        return first, last - first

    def resampled_count(self, fps: float, first: int, count: int) -> int:
        """How many frames at `fps` show the `count` frames from `first` on; at least one."""
        times, last = self._without_gaps(first, count)
        return max(1, round((float(times[-1]) + last) * fps))

    def nearest(self, seconds: np.ndarray, first: int, count: int) -> np.ndarray:
        """The frames nearest in time, the earlier of two equally near.

        Args:
            seconds: `(n,)`, since frame `first`, gaps left out.
            first: first frame to choose from.
            count: number of frames to choose from, at least 1.

        Returns:
            Frame numbers, int64 `(n,)`.
        """
        times, _ = self._without_gaps(first, count)
        return first + np.searchsorted((times[1:] + times[:-1]) / 2 + 1e-9, seconds)

    def _without_gaps(self, first: int, count: int) -> tuple[np.ndarray, float]:
        """Seconds since frame `first`, and how long a frame is usually shown.

        A gap, as a paused recording leaves it, counts as one usual step: a still picture would
        otherwise stand for all of it.
        """
        times = self.times[first : first + count]
        times = times - times[:1]
        if count < 2:
            return times, 0.0
        steps = np.diff(times)
        usual = float(np.median(steps))
        gaps = steps > max(_GAP, 10 * usual)
        if gaps.any():
            times = np.concatenate([[0.0], np.cumsum(np.where(gaps, usual, steps))])
        return times, usual
