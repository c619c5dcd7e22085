"""Which frames of a video a clip is made of.

Pure functions of counts and of numbers in [0, 1): no state, no files. A sample of the training
stream draws its numbers from `sample_generator(seed, number)`, so it is the same in any thread,
process or machine, and after a restart.
"""

import functools

import numpy as np

# Each use of a seed draws from a range of the generator's counter of its own.
_ORDER, _SAMPLE = 1, 2


def _generator(purpose: int, seed: int, number: int) -> np.random.Generator:
    key = np.array([seed % 2**64, number], "uint64")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, purpose]))


def sample_generator(seed: int, number: int) -> np.random.Generator:
    """The random numbers of sample `number` of the training stream."""
    return _generator(_SAMPLE, seed, number)


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which epoch `epoch` visits `count` videos, int64 `(count,)`, read-only."""
    order = np.argsort(_generator(_ORDER, seed, epoch).random(count), kind="stable")
    order.flags.writeable = False
    return order


def _fits(count: int, frames: int, stride: int) -> bool:
    return count > (frames - 1) * stride


def _starts(count: int, frames: int, stride: int) -> int:
    """In how many places a window can begin: wherever it fits, anywhere if it must loop."""
    return count - (frames - 1) * stride if _fits(count, frames, stride) else count


def _window(start: int, count: int, frames: int, stride: int) -> np.ndarray:
    return (start + np.arange(frames) * stride) % count


def random_window(count: int, frames: int, stride: int, u: float) -> np.ndarray:
    """A training window of a video of `count` frames: numbers `stride` apart, int64 `(frames,)`.

    `u` in [0, 1) decides the start, uniform over all possible ones. Where the video is shorter than
    the window, it loops.
    """
    return _window(int(u * _starts(count, frames, stride)), count, frames, stride)


def uniform_windows(count: int, frames: int, stride: int, windows: int) -> np.ndarray:
    """Test windows `(windows, frames)`, spread from the start of a video to its end.

    A single window is the middle one; if it has to loop, it begins with the video.
    """
    starts = _starts(count, frames, stride)
    if windows > 1:
        first = np.round(np.linspace(0, starts - 1, windows)).astype("int64")
    else:
        first = np.array([0 if starts == count else (starts - 1) // 2])
    return np.stack([_window(start, count, frames, stride) for start in first])


def dense_windows(count: int, frames: int, stride: int, step: int | None = None) -> np.ndarray:
    """Windows `(windows, frames)`, int64, that together see all of a video, one after the other.

    They begin `step` apart; when None, so far that they follow each other without overlap. The last
    one ends with the video. Where the video is shorter than a window, there is one, which loops.
    """
    step = frames * stride if step is None else step
    last = _starts(count, frames, stride) - 1 if _fits(count, frames, stride) else 0
    starts = np.append(np.arange(0, last, step), last)
    return np.stack([_window(start, count, frames, stride) for start in starts])


def segment_frames(count: int, frames: int, draws: np.ndarray | float = 0.5) -> np.ndarray:
    """One frame of each of `frames` equal parts of a video: int64 `(frames,)`, never decreasing.

    `draws`, `(frames,)` in [0, 1), say where in its part each frame is. Where the video has fewer
    frames than there are parts, some come several times. (Wang et al., Temporal Segment Networks,
    2016.)
    """
    parts = np.arange(frames)
    last = -(-(parts + 1) * count // frames) - 1  # of each part; rounding must not go beyond
    return np.minimum(((parts + draws) * count / frames).astype("int64"), last)
