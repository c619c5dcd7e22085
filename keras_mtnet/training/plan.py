"""The plan of a run: clip shape, batch size and learning rate of each epoch.

No TensorFlow and no Keras here, so that a recipe can be shown at once.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from keras_mtnet.training.recipe import Recipe

# Multigrid, Wu et al. 2020 (arXiv:1912.00998), table 2: factors on (batch, frames, size). A run
# goes once through the long cycle; the short cycle changes size and batch within it.
LONG_CYCLE = ((8, 1 / 4, 0.5**0.5), (4, 1 / 2, 0.5**0.5), (2, 1 / 2, 1.0), (1, 1.0, 1.0))
SHORT_CYCLE = (0.5, 0.5**0.5, 1.0)
# Share of the epochs that closes a run in its full shape, as statistics of batch normalization
# must fit what is validated.
CLOSING = 1 / 8
_SIZE_STEP = 8  # sizes are whole multiples, so that stages halve them without rest


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One pass over the training videos."""

    number: int  # from 0
    first_step: int  # steps of all epochs before it
    steps: int  # as many as it takes to see as many clips as there are videos
    batch_size: int
    frames: int
    stride: int
    size: int
    rate: float = 1.0  # on the learning rate: batches are so many times as large as the recipe's

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Clips of a batch, frames, stride and size."""
        return self.batch_size, self.frames, self.stride, self.size


def plan(recipe: Recipe, videos: int) -> list[Epoch]:
    """The epochs of a run, by its recipe with stride and size filled in, and the number of videos.

    >>> [epoch] = plan(Recipe(stride=2, size=64, epochs=1, batch_size=4), videos=18)
    >>> epoch.steps, epoch.shape
    (5, (4, 16, 2, 64))
    """
    epochs: list[Epoch] = []
    step = 0
    for number in range(recipe.epochs):
        batch_size, frames, size = _shape(recipe, number)
        steps = math.ceil(videos / batch_size)
        stride = (recipe.stride or 1) * (recipe.frames // frames)  # the same span of time
        rate = batch_size / recipe.batch_size
        epochs.append(Epoch(number, step, steps, batch_size, frames, stride, size, rate))
        step += steps
    return epochs


def total_steps(epochs: Sequence[Epoch]) -> int:
    """Steps of all epochs."""
    return epochs[-1].first_step + epochs[-1].steps


def phases(epochs: Sequence[Epoch]) -> list[list[Epoch]]:
    """Consecutive epochs of one shape, together."""
    return [list(group) for _, group in itertools.groupby(epochs, lambda epoch: epoch.shape)]


def _shape(recipe: Recipe, number: int) -> tuple[int, int, int]:
    """Batch size, frames and size of epoch `number`."""
    assert recipe.size is not None
    cycled = recipe.epochs - math.ceil(recipe.epochs * CLOSING)
    if not recipe.multigrid or number >= cycled:
        return recipe.batch_size, recipe.frames, recipe.size
    more, fewer_frames, smaller = LONG_CYCLE[number * len(LONG_CYCLE) // cycled]
    size = recipe.size * smaller
    # Within the long cycle's size, by whole epochs: all steps of an epoch have one shape, so that
    # no more shapes than these are ever traced.
    short = min(recipe.size * SHORT_CYCLE[number % len(SHORT_CYCLE)], size)
    batch_size = round(recipe.batch_size * more * (size / short) ** 2)
    rounded = max(_SIZE_STEP, round(short / _SIZE_STEP) * _SIZE_STEP)
    return batch_size, max(1, round(recipe.frames * fewer_frames)), rounded
