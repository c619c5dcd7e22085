"""SGD with a rate, a decay and a beginning of its own for every weight."""

import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.training.plan import Epoch
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.schedules import scaled_by_epoch, warmup_cosine


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

    With `use_ema` a model takes its averaged weights by `take_averages`, and not at the end of each
    `fit`: a run is more than one.

    Args:
        learning_rate: a float or a schedule.
        momentum: of the buffer.
        nesterov: look-ahead momentum.
        l2: classic weight decay.
        no_decay: last parts of variable names without decay; by default biases and the scale and
            offset of batch normalisation.
        factors: pairs (pattern, factor). The first pattern that `re.search` finds in a variable's
            path multiplies its rate; 1 where none fits. Factor 0 leaves a weight as it is.
        starts: pairs (pattern, update). Weights that the first fitting pattern finds stay as they
            are before that update, counted from 0.
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
        starts: Sequence[tuple[str, int]] = (),
        name: str = "layerwise_sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.l2 = float(l2)
        self.no_decay = tuple(no_decay)
        self.factors = tuple((str(pattern), float(factor)) for pattern, factor in factors)
        self.starts = tuple((str(pattern), int(update)) for pattern, update in starts)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the momentum buffers and looks up what holds for each variable."""
        if self.built:
            return
        super().build(variables)
        # By position, as update_step() gets the backend's variable, which knows no path.
        self._rate_factors = tuple(self.rate_factor(v.path) for v in variables)
        self._decays = tuple(0.0 if v.name in self.no_decay else self.l2 for v in variables)
        self._starts = tuple(_first_fit(self.starts, v.path, 0) for v in variables)

    def rate_factor(self, path: str) -> float:
        """The factor on the rate of the variable at `path`, e.g. `"predictions/kernel"`."""
        return _first_fit(self.factors, path, 1.0)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; under tf.distribute the gradient is already summed."""
        index = self._get_variable_index(variable)
        if self._rate_factors[index] == 0.0:
            return
        if self._decays[index]:
            gradient = gradient + self._decays[index] * ops.cast(variable, gradient.dtype)
        rate = learning_rate * self._rate_factors[index]
        if self._starts[index]:
            # At rate 0 the buffer stays 0 as well, so nothing is moved until its time.
            rate = ops.where(self.iterations < self._starts[index], ops.zeros_like(rate), rate)
        super().update_step(gradient, variable, rate)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Does nothing: see `use_ema` above."""

    def take_averages(self, variables: Sequence[keras.Variable]) -> None:
        """Gives the trained variables their averages, where `use_ema` is on."""
        super().finalize_variable_values(variables)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "l2": self.l2,
            "no_decay": list(self.no_decay),
            "factors": [list(pair) for pair in self.factors],
            "starts": [list(pair) for pair in self.starts],
        }


def _first_fit(pairs: Sequence[tuple[str, Any]], path: str, otherwise: Any) -> Any:
    return next((value for pattern, value in pairs if re.search(pattern, path)), otherwise)


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
    average = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema else {}
    return LayerwiseSGD(
        rate,
        momentum=recipe.momentum,
        l2=recipe.weight_decay,
        factors=slow,
        starts=_thaws(recipe, epochs, stages),
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
