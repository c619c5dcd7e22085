"""Which frames a video has, and when each is shown."""

import dataclasses

import numpy as np

# A longer time between two frames than this, and than ten usual ones, is a gap in the recording.
_GAP = 0.5  # seconds
_NO_NUMBERS = np.zeros(0, "int64")


@dataclasses.dataclass(frozen=True)
class Keyframes:
    """Frames at which decoding can begin: their numbers `(keys,)`, which increase.

    `packets` `(keys, 2)` are position in the file and size of the packets that they are in, by
    which those are recognized.
    """

    numbers: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS)
    packets: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS.reshape(0, 2))


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """The frames of one video.

    Example:

    >>> index = FrameIndex.even(100, fps=25)
    >>> index.segment(1.0, 2.0)
    (25, 25)
    >>> index.resampled_count(5.0, first=25, count=25)
    5
    """

    ticks: np.ndarray  # when each is shown, int64 (frames,), increasing, in units of `tick`
    tick: float  # in seconds
    # Whether `ticks` are the times of packets, by which the frames that a decoder returns can be
    # told apart. Otherwise they have to be counted from the start.
    by_packets: bool = False
    quick: bool = False  # the file can be opened without looking into its streams
    reordered: bool = False  # packets come in another order than their frames are shown in
    order: np.ndarray | None = None  # which frame each packet holds, where packets have no times
    keys: Keyframes = dataclasses.field(default_factory=Keyframes)  # besides the first frame
    damage: str | None = None  # why the video ends before its last packet

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
        """The frames nearest to `seconds` since frame `first`, gaps left out: numbers, int64
        `(n,)`.

        They are chosen from `count` frames from `first` on; of two equally near, the earlier.
        """
        times, _ = self._without_gaps(first, count)
        return first + np.searchsorted((times[1:] + times[:-1]) / 2 + 1e-9, seconds)

    def end(self, first: int, count: int) -> float:
        """When the last of `count` frames from `first` on has been shown, as long as the one before
        it, or as usual ones where that is a gap."""
        times = self.times[first : first + count]
        steps = np.diff(times[-2:]) if count > 1 else np.zeros(1)
        usual = self._without_gaps(first, count)[1]
        return float(times[-1] + (steps[0] if steps[0] <= max(_GAP, 10 * usual) else usual))

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
