"""The learning rate of every step, and the optimizer of a run."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.optimizers import LayerwiseSGD
from keras_mtnet.training.plan import Epoch, total_steps
from keras_mtnet.training.recipe import Recipe


def warmup_cosine(
    peak: float, total_steps: int, warmup_steps: int = 0
) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up from 0, then half a cosine down to 0, for every step.

    With W = `warmup_steps` and S = `total_steps`, those of the warm-up included, step s (counted
    from 0) has the rate `peak * s / W` before W, then `peak * (1 + cos(pi * (s - W) / (S - W))) /
    2`.

    Raises:
        ValueError: if the warm-up is not shorter than the run.

    Example:

    >>> schedule = warmup_cosine(0.1, total_steps=100, warmup_steps=10)
    >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 55)]
    [0.0, 0.05, 0.1, 0.05]
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
    """A schedule times the factor of the epoch that a step lies in.

    With multigrid this is the linear scaling rule (Goyal et al. 2017): k times the batch, k times
    the rate.

    Args:
        schedule: of every step; a Keras schedule, or the configuration of one.
        starts: first step of each epoch, from 0 up.
        factors: one per epoch.
    """

    def __init__(self, schedule: Any, starts: Sequence[int], factors: Sequence[float]) -> None:
        super().__init__()
        stored = isinstance(schedule, dict)
        self.schedule = keras.optimizers.schedules.deserialize(schedule) if stored else schedule
        self.starts, self.factors = list(starts), list(factors)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "int32")
        epoch = ops.sum(ops.cast(ops.convert_to_tensor(self.starts, "int32") <= step, "int32")) - 1
        return self.schedule(step) * ops.take(ops.convert_to_tensor(self.factors, "float32"), epoch)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "starts": self.starts, "factors": self.factors}


def make_optimizer(recipe: Recipe, epochs: Sequence[Epoch], stages: int = 0) -> LayerwiseSGD:
    """The optimizer of a run, with the stages of its network that are unfrozen one after another.

    Raises:
        ValueError: if the run is too short for its warm-up, or for one update.
    """
    total, accumulated = total_steps(epochs), recipe.gradient_accumulation_steps
    warmup = total // 10 if recipe.warmup_steps is None else recipe.warmup_steps
    if accumulated > total:
        raise ValueError(
            f"gradient_accumulation_steps={accumulated} steps make one update, and the run has "
            f"{total}."
        )
    # By steps, whether or not several make one update: so does Keras.
    rate = warmup_cosine(recipe.peak_learning_rate, total, warmup)
    if any(epoch.rate != 1 for epoch in epochs):
        starts = [epoch.first_step for epoch in epochs]
        rate = ScaledByEpoch(rate, starts, [epoch.rate for epoch in epochs])
    # Everything but the classifier was learned before, if there are weights to start from.
    backbone = [(r"^(?!predictions/)", recipe.backbone_lr_multiplier)] if recipe.weights else []
    average: dict[str, Any] = {}
    if recipe.ema_momentum:
        average = {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    return LayerwiseSGD(
        rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        lr_multipliers=backbone,
        trainable_from=_unfreezing(recipe, epochs, stages),
        average_at_end=False,  # a run may be several `fit`
        global_clipnorm=recipe.global_clipnorm,
        gradient_accumulation_steps=accumulated if accumulated > 1 else None,
        **average,
    )


def _unfreezing(recipe: Recipe, epochs: Sequence[Epoch], stages: int) -> list[tuple[str, int]]:
    """When frozen parts begin to learn: the head first, then stage after stage from the last."""
    if not recipe.freeze_epochs:
        return []
    parts = ["^head_", *(f"^stage{n}_" for n in range(stages, 0, -1)), "^(?!predictions/)"]
    starts = []
    for place, part in enumerate(parts):
        epoch = recipe.freeze_epochs + place * recipe.unfreeze_every
        # A part whose time lies behind the end never learns.
        step = epochs[epoch].first_step if epoch < len(epochs) else total_steps(epochs)
        starts.append((part, step // recipe.gradient_accumulation_steps))
    return starts
