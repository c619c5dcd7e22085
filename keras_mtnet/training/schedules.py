"""The learning rate of every step, and SGD with a rate of its own for every layer."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.training.recipe import Recipe


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
class LayerwiseSGD(keras.optimizers.SGD):
    """SGD whose weight decay spares what it should, with a rate factor for chosen weights.

    One step on a weight w with gradient g, rate r, factor f and momentum buffer m:

        g = g + l2 * w                        (not for the names in `no_decay`)
        m = momentum * m - f * r * g
        w = w + momentum * m - f * r * g      (Nesterov; else w + m)

    `l2` is the classic weight decay, which goes through the momentum, as in PyTorch's SGD and in
    the published video recipes. Keras' own `weight_decay` subtracts `rate * weight_decay * w`
    beside the momentum, which at momentum 0.9 decays a tenth as much; it is left at None here.

    Args:
        learning_rate: a float or a schedule.
        momentum: of the buffer.
        nesterov: look-ahead momentum.
        l2: classic weight decay.
        no_decay: last parts of variable names without decay; by default biases and the scale and
            offset of batch normalisation.
        factors: pairs (pattern, factor). The first pattern that `re.search` finds in a variable's
            path multiplies its rate; 1 where none fits. Factor 0 leaves a weight as it is.
        **kwargs: those of `keras.optimizers.SGD`: clipping, averages, accumulation.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        nesterov: bool = True,
        l2: float = 0.0,
        no_decay: Sequence[str] = ("bias", "gamma", "beta"),
        factors: Sequence[tuple[str, float]] = (),
        name: str = "layerwise_sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.l2 = float(l2)
        self.no_decay = tuple(no_decay)
        self.factors = tuple((str(pattern), float(factor)) for pattern, factor in factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the momentum buffers and looks up what holds for each variable."""
        if self.built:
            return
        super().build(variables)
        # By position, as update_step() gets the backend's variable, which knows no path.
        self._rate_factors = tuple(self.rate_factor(v.path) for v in variables)
        self._decays = tuple(0.0 if v.name in self.no_decay else self.l2 for v in variables)

    def rate_factor(self, path: str) -> float:
        """The factor on the rate of the variable at `path`, e.g. `"predictions/kernel"`."""
        return next((f for pattern, f in self.factors if re.search(pattern, path)), 1.0)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; under tf.distribute the gradient is already summed."""
        index = self._get_variable_index(variable)
        if self._rate_factors[index] == 0.0:
            return
        if self._decays[index]:
            gradient = gradient + self._decays[index] * keras.ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate * self._rate_factors[index])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        factors = [list(pair) for pair in self.factors]
        return {**config, "l2": self.l2, "no_decay": list(self.no_decay), "factors": factors}


def make_optimizer(recipe: Recipe, total_steps: int) -> LayerwiseSGD:
    """The optimizer of a recipe for a run of `total_steps` steps."""
    # Everything but the classifier was learned before, if there are weights to start from.
    slow = [(r"^(?!predictions/)", recipe.backbone_rate)] if recipe.weights else []
    return LayerwiseSGD(
        warmup_cosine(recipe.peak_rate, total_steps, recipe.warmup(total_steps)),
        momentum=recipe.momentum,
        l2=recipe.weight_decay,
        factors=slow,
    )
