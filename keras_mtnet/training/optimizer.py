"""The optimizer of a run."""

from collections.abc import Sequence
from typing import Any

from keras_mtnet.optimizers import LayerwiseSGD
from keras_mtnet.training.plan import Epoch
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.schedules import scaled_by_epoch, warmup_cosine


def make_optimizer(recipe: Recipe, epochs: Sequence[Epoch], stages: int = 0) -> LayerwiseSGD:
    """The optimizer of a run.

    Args:
        recipe: its settings.
        epochs: of `plan`.
        stages: of the network, which are thawed one after another from the last to the first.
    """
    total = epochs[-1].first_step + epochs[-1].steps
    # By steps, whether or not several make one update: so does Keras.
    rate = warmup_cosine(recipe.peak_rate, total, recipe.warmup(total))
    if any(epoch.rate != 1 for epoch in epochs):
        starts = [epoch.first_step for epoch in epochs]
        rate = scaled_by_epoch(rate, starts, [epoch.rate for epoch in epochs])
    # Everything but the classifier was learned before, if there are weights to start from.
    slow = [(r"^(?!predictions/)", recipe.backbone_rate)] if recipe.weights else []
    average: dict[str, Any] = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema else {}
    return LayerwiseSGD(
        rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        lr_multipliers=slow,
        average_at_end=False,
        trainable_from=_thaws(recipe, epochs, stages),
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        **average,
    )


def _thaws(recipe: Recipe, epochs: Sequence[Epoch], stages: int) -> list[tuple[str, int]]:
    """When frozen parts begin to learn: the head first, then stage after stage from the last."""
    if not recipe.frozen_epochs:
        return []
    parts = ["head_", *(f"stage{n}_" for n in range(stages, 0, -1)), "stem_"]
    starts = []
    for place, part in enumerate(parts):
        epoch = recipe.frozen_epochs + place * recipe.thaw_epochs
        # A part whose time lies behind the end never learns.
        last = epochs[-1].first_step + epochs[-1].steps
        step = epochs[epoch].first_step if epoch < len(epochs) else last
        starts.append((f"^{part}", step // recipe.accumulate))
    return starts
