"""The learning rate of every step."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def warmup_cosine(
    peak: float, total_steps: int, warmup_steps: int = 0
) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up from 0, then half a cosine down to 0, for every step.

    With W = `warmup_steps` and S = `total_steps`, step s (counted from 0) has the rate
    `peak * s / W` before W, then `peak * (1 + cos(pi * (s - W) / (S - W))) / 2`.

    Args:
        peak: the highest rate.
        total_steps: steps of the whole run, those of the warm-up included.
        warmup_steps: steps of the warm-up.

    Returns:
        A Keras schedule.

    Raises:
        ValueError: if the warm-up is not shorter than the run.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"warmup_steps must be at least 0 and less than the {total_steps} steps of the run. "
            f"Received: warmup_steps={warmup_steps}"
        )
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(peak, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps
    )


@keras.saving.register_keras_serializable(package="keras_mtnet")
class ScaledByEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor that changes with the epoch. See `scaled_by_epoch`."""

    def __init__(self, schedule: Any, starts: Sequence[int], factors: Sequence[float]) -> None:
        super().__init__()
        self.schedule = keras.optimizers.schedules.deserialize(schedule)
        self.starts, self.factors = list(starts), list(factors)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "int32")
        epoch = ops.sum(ops.cast(ops.convert_to_tensor(self.starts, "int32") <= step, "int32")) - 1
        return self.schedule(step) * ops.take(ops.convert_to_tensor(self.factors, "float32"), epoch)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "starts": self.starts, "factors": self.factors}


def scaled_by_epoch(
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    starts: Sequence[int],
    factors: Sequence[float],
) -> ScaledByEpoch:
    """`schedule(s)` times the factor of the epoch that step s lies in.

    With multigrid this is the linear scaling rule (Goyal et al. 2017): k times the batch, k times
    the rate.

    Args:
        schedule: of every step.
        starts: first step of each epoch, from 0 up.
        factors: one an epoch.
    """
    return ScaledByEpoch(keras.optimizers.schedules.serialize(schedule), starts, factors)
