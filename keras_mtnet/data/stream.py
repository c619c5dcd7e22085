"""Which video each batch reads, as pure functions of the seed, the epoch and the step.

A batch is a range of sample numbers. Sample `k` of `n` training videos is number `k % n` of pass
`k // n` over them, and draws its window, crop and flip from a generator of its own. Nothing depends
on what is read in parallel, so that batches are the same on any machine and after a restart.
"""

import dataclasses
import math

import numpy as np

from keras_mtnet.checks import check_counts, check_integer
from keras_mtnet.data import sampling
from keras_mtnet.data.clip_reader import ClipDraws


@dataclasses.dataclass
class Position:
    """Where the next iteration over a data set begins. It may be changed at any time.

    Attributes:
        epoch: that the next iteration reads. It advances when one has delivered its last batch.
        skip: number of batches at the beginning of the next iteration that are delivered as
            placeholders, all zeros, without reading anything. Back at 0 as soon as it begins.
        period: after so many epochs their clips come again, the same ones; never when None.
    """

    epoch: int = 0
    skip: int = 0
    period: int | None = None

    @property
    def stream_epoch(self) -> int:
        """The epoch of the stream whose clips the next iteration reads."""
        return self.epoch if self.period is None else self.epoch % self.period


@dataclasses.dataclass(frozen=True)
class ClipStream:
    """The samples of a data set in batches.

    >>> ClipStream(count=5, batch_size=2, training=False).numbers(epoch=0, step=2)
    array([4])
    """

    count: int  # of videos
    batch_size: int  # clips in a batch, of all workers together
    # An endless stream of shuffled passes in full batches. Otherwise each video once, in order,
    # with a smaller last batch.
    training: bool
    seed: int = 0  # of the order and of the clips
    part: tuple[int, int] = (0, 1)  # (i, n): worker i of n takes the i-th of n equal parts

    def __post_init__(self) -> None:
        check_counts(batch_size=self.batch_size)
        check_integer(seed=self.seed)
        if self.batch_size % self.part[1]:
            raise ValueError(
                f"batch_size must be divisible by the {self.part[1]} parts. "
                f"Received: batch_size={self.batch_size}"
            )

    @property
    def steps(self) -> int:
        """Batches of an epoch: as many as it takes to see as many clips as there are videos."""
        return math.ceil(self.count / self.batch_size)

    @property
    def clips(self) -> int:
        """Clips of a full batch, of this worker."""
        return self.batch_size // self.part[1]

    def numbers(self, epoch: int, step: int) -> np.ndarray:
        """The sample numbers of a batch, int64 `(b,)`."""
        first = step * self.batch_size + self.part[0] * self.clips
        if self.training:
            first += epoch * self.steps * self.batch_size
            return np.arange(first, first + self.clips)
        return np.arange(first, max(first, min(first + self.clips, self.count)))

    def video(self, number: int) -> int:
        """The place in the list of the video of a sample."""
        epoch, place = divmod(number, self.count)
        if not self.training:
            return place
        return int(sampling.epoch_order(self.seed, epoch, self.count)[place])

    def draws(self, number: int, frames: int) -> ClipDraws:
        """The random numbers of a sample's clip."""
        return ClipDraws.draw(sampling.sample_generator(self.seed, number), frames)

    def weights(self, readable: int) -> np.ndarray:
        """Sample weights of a full batch whose first `readable` clips are real, float32 `(b,)`.

        In training the mean over the batch is then that over the real clips, in evaluation the mean
        over all batches that over all videos. Of several workers none knows what the others can
        read: real clips weigh 1 in training.
        """
        real = np.arange(self.clips) < readable
        if not self.training:
            weight = self.steps * self.batch_size / self.count
        elif self.part[1] == 1:
            weight = self.clips / max(readable, 1)
        else:
            weight = 1.0
        return (real * weight).astype("float32")
