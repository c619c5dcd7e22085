"""What every epoch of a run sees: which samples, in clips of what shape, at what rate.

No TensorFlow and no Keras here, so that a recipe can be shown at once.
"""

import dataclasses
import math

from keras_mtnet.training.recipe import Recipe

# Multigrid, Wu et al. 2020 (arXiv:1912.00998), table 2: factors on (batch, frames, size). A run
# goes once through the long cycle; the short cycle changes size and batch within it.
LONG_CYCLE = ((8, 1 / 4, 0.5**0.5), (4, 1 / 2, 0.5**0.5), (2, 1 / 2, 1.0), (1, 1.0, 1.0))
SHORT_CYCLE = (0.5, 0.5**0.5, 1.0)
# Share of the epochs that closes a run in its full shape, as statistics of batch normalisation
# must fit what is tested.
CLOSING = 1 / 8
_SIZE_STEP = 8  # sizes are whole multiples, so that stages halve them without rest


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One pass over the training videos.

    Attributes:
        number: from 0.
        first_sample: number of its first sample in the stream of `keras_mtnet.data.clips`.
        first_step: steps of all epochs before it.
        steps: its own.
        batch_size: clips of a step.
        frames: of a clip.
        stride: every `stride`-th frame of a video is in a clip.
        size: height and width of a clip.
        rate: factor on the learning rate: batches `rate` times as large as the recipe's.
    """

    number: int
    first_sample: int
    first_step: int
    steps: int
    batch_size: int
    frames: int
    stride: int
    size: int
    rate: float = 1.0

    @property
    def end_sample(self) -> int:
        """The first sample that is not in this epoch."""
        return self.first_sample + self.steps * self.batch_size


def plan(recipe: Recipe, videos: int) -> list[Epoch]:
    """The epochs of a run.

    An epoch has as many whole batches as it takes to see every video; the last batch is filled up
    with the first videos of the next pass.

    Args:
        recipe: with stride and size filled in.
        videos: how many there are to train on.
    """
    epochs: list[Epoch] = []
    step = 0
    for number in range(recipe.epochs):
        batch_size, frames, size = _shape(recipe, number)
        steps = math.ceil(videos / batch_size)
        stride = recipe.stride * (recipe.frames // frames)  # the same span of time
        rate = batch_size / recipe.batch_size
        first = number * steps * batch_size
        epochs.append(Epoch(number, first, step, steps, batch_size, frames, stride, size, rate))
        step += steps
    return epochs


def _shape(recipe: Recipe, number: int) -> tuple[int, int, int]:
    """Batch size, frames and size of epoch `number`."""
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
