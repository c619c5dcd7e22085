"""SGD with a learning rate, a weight decay and a beginning of its own for every weight."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mtnet")
class LayerwiseSGD(keras.optimizers.SGD):
    """SGD with classic weight decay, learning rates by layer, and layers that begin to learn later.

    One step on a weight w with gradient g, learning rate r, multiplier f and momentum buffer m:

        g = g + weight_decay * w              (not for the names in `no_decay`)
        m = momentum * m - f * r * g
        w = w + momentum * m - f * r * g      (Nesterov; else w + m)

    This is the weight decay of PyTorch's SGD and of the published video recipes: it goes through
    the momentum. That of Keras' SGD subtracts `learning_rate * weight_decay * w` beside the
    momentum, which at momentum 0.9 decays a tenth as much. With `lr_multipliers` alone the steps
    are those of `MultiOptimizer` in TensorFlow Addons 0.23.

    On TensorFlow a weight without decay is updated by one operation.

    Args:
        learning_rate: a float or a schedule.
        momentum: of the buffer.
        nesterov: whether to use Nesterov momentum.
        weight_decay: classic weight decay.
        no_decay: last parts of names of variables without decay; by default biases, and scale and
            offset of batch normalization.
        lr_multipliers: pairs (pattern, multiplier). The first pattern that `re.search` finds in a
            variable's path multiplies its learning rate; 1 where none fits. 0 freezes a weight.
        trainable_from: pairs (pattern, update). Weights that the first fitting pattern finds stay
            as they are before that update, counted from 0.
        average_at_end: with `use_ema`, whether `fit` ends by giving the weights their averages, as
            Keras does. False leaves that to `finalize_variable_values`, for a training of several
            `fit`.
        **kwargs: those of `keras.optimizers.SGD`, as `global_clipnorm`, `use_ema`,
            `gradient_accumulation_steps`.

    Example:

    >>> import keras_mtnet as mt
    >>> optimizer = mt.optimizers.LayerwiseSGD(
    ...     0.01, lr_multipliers=[("^stem_", 0.0), ("^(?!predictions/)", 0.1)]
    ... )
    >>> [optimizer.lr_multiplier(path) for path in ("stem_conv/kernel", "predictions/bias")]
    [0.0, 1.0]
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        no_decay: Sequence[str] = ("bias", "gamma", "beta"),
        lr_multipliers: Sequence[tuple[str, float]] = (),
        trainable_from: Sequence[tuple[str, int]] = (),
        average_at_end: bool = True,
        name: str = "layerwise_sgd",
        **kwargs: Any,
    ) -> None:
        # The base class is not told of the weight decay: it would apply its own.
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.classic_weight_decay = float(weight_decay)
        self.no_decay = tuple(no_decay)
        self.lr_multipliers = _pairs("lr_multipliers", lr_multipliers, float)
        self.trainable_from = _pairs("trainable_from", trainable_from, int)
        self.average_at_end = average_at_end

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the momentum buffers and looks up what holds for each variable."""
        if self.built:
            return
        super().build(variables)
        # By position, as update_step() gets the backend's variable, which knows no path.
        self._multipliers = tuple(self.lr_multiplier(v.path) for v in variables)
        self._decays = tuple(
            0.0 if v.name in self.no_decay else self.classic_weight_decay for v in variables
        )
        self._starts = tuple(_first_fit(self.trainable_from, v.path, 0) for v in variables)

    def lr_multiplier(self, path: str) -> float:
        """The multiplier of the variable at `path`, e.g. `"predictions/kernel"`."""
        return _first_fit(self.lr_multipliers, path, 1.0)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; under tf.distribute the gradient is already summed."""
        index = self._get_variable_index(variable)
        multiplier, decay, start = (
            values[index] for values in (self._multipliers, self._decays, self._starts)
        )
        if multiplier == 0.0:
            return
        if decay:
            gradient = gradient + decay * ops.cast(variable, gradient.dtype)
        rate = ops.convert_to_tensor(learning_rate)
        rate = rate if multiplier == 1.0 else rate * multiplier
        if start:
            # At rate 0 the buffer stays 0 as well, so nothing is moved until its time.
            rate = ops.where(self.iterations < start, ops.zeros_like(rate), rate)
        if not _fused_step(self, gradient, variable, self.momentums[index : index + 1], rate):
            super().update_step(gradient, variable, rate)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Gives trained variables their averages, where `use_ema` and `average_at_end` are on."""
        if self.average_at_end:
            super().finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight_decay": self.classic_weight_decay,
            "no_decay": list(self.no_decay),
            "lr_multipliers": [list(pair) for pair in self.lr_multipliers],
            "trainable_from": [list(pair) for pair in self.trainable_from],
            "average_at_end": self.average_at_end,
        }


def _fused_step(
    optimizer: keras.optimizers.SGD, gradient: Any, variable: Any, buffer: Sequence[Any], rate: Any
) -> bool:
    """Takes a step of SGD by one operation of TensorFlow; False where there is no such."""
    if keras.backend.backend() != "tensorflow" or not buffer:
        return False
    import tensorflow as tf

    variable = getattr(variable, "value", variable) if not hasattr(variable, "handle") else variable
    dtypes = (tf.float16, tf.float32, tf.float64)
    if variable.dtype not in dtypes or isinstance(gradient, tf.IndexedSlices):
        return False
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=buffer[0].value.handle,
        lr=tf.cast(rate, variable.dtype),
        grad=tf.cast(gradient, variable.dtype),
        momentum=tf.cast(optimizer.momentum, variable.dtype),
        use_locking=False,
        use_nesterov=optimizer.nesterov,
    )
    return True


def _pairs(name: str, given: Any, number: Callable) -> tuple[tuple[str, Any], ...]:
    """Pairs of a pattern and a number of at least 0, checked."""
    try:
        pairs = tuple((re.compile(pattern).pattern, number(value)) for pattern, value in given)
        right = all(value >= 0 for _, value in pairs)
    except (TypeError, ValueError, re.error):
        right = False
    if not right:
        raise ValueError(
            f"{name} must be pairs of a regular expression and a number of at least 0. "
            f"Received: {name}={given!r}"
        )
    return pairs


def _first_fit(pairs: Sequence[tuple[str, Any]], path: str, otherwise: Any) -> Any:
    return next((value for pattern, value in pairs if re.search(pattern, path)), otherwise)
