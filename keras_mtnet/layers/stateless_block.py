"""Blocks that run as functions of values: traced once for all alike, or computed again."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

from keras_mtnet import graphs

if TYPE_CHECKING:  # a plain mixin when it runs
    from keras.layers import Layer as _Base
else:
    _Base = object


class StatelessBlock(_Base):
    """Mixed into a layer, makes its call a function of its inputs and its variables.

    Such a function can be shared: in a graph of TensorFlow, all blocks of one configuration call
    one function, which is traced, optimized and compiled once instead of once a block. On JAX
    it is traced once; XLA copies it into each call. Operation by operation, nothing is shared.

    With `remat`, nothing is kept between the input and the output: a training step needs less
    memory and computes the layer twice. `keras.RematScope` around such a layer would count every
    batch twice in the moving statistics of its normalizations. Here the second time changes
    nothing.
    """

    remat = False
    _inside = False  # the current call is that of the function

    def _is_function(self, inputs: Any, training: bool | None) -> bool:
        """Whether `call` should hand over to `_call_function`."""
        if self._inside:
            return False
        return self._runs_twice(training) or graphs.is_shareable(tree.flatten(inputs)[0])

    def _runs_twice(self, training: bool | None) -> bool:
        return bool(training) and self.remat

    def _call_function(self, inputs: Any, training: bool | None) -> Any:
        """The result of the layer, computed by a function."""
        state = self.non_trainable_variables
        variables = [*self.trainable_variables, *state]
        function, read = self._function(inputs, bool(training)), graphs.read
        if self._runs_twice(training):  # by the second time, some variables have changed
            function, read = keras.remat(function), ops.copy
        results = function(*tree.flatten(inputs), *map(read, variables))
        if not training:
            state = []
        outputs = len(results) - len(state)
        for variable, value in zip(state, results[outputs:], strict=True):
            variable.assign(value)
        return results[0] if outputs == 1 else list(results[:outputs])

    def _function(self, inputs: Any, training: bool) -> Callable[..., list[Any]]:
        """From values of the inputs and of all variables to outputs and, in training, new state."""
        count = len(tree.flatten(inputs))
        state = self.non_trainable_variables
        variables = [*self.trainable_variables, *state]

        # Nothing but what it is given gets a gradient, or changes.
        def run(*given: Any) -> list[Any]:
            x = tree.pack_sequence_as(inputs, given[:count])
            mapping = list(zip(variables, given[count:], strict=True))
            self._inside = True
            try:
                with keras.StatelessScope(state_mapping=mapping) as scope:
                    y = self(x, training=training)
                after = [scope.get_current_value(v) for v in state] if training else []
            finally:
                self._inside = False
            return [*tree.flatten(y), *map(ops.stop_gradient, after)]

        if not graphs.is_shareable(tree.flatten(inputs)[0]):
            return run
        return graphs.shared(run, self._kind(inputs, training), owner=self, training=training)

    def _kind(self, inputs: Any, training: bool) -> str:
        """What blocks have in common that compute the same from the same values."""
        shapes = tree.map_structure(lambda x: tuple(x.shape), inputs)
        trainable = [variable.trainable for variable in self.variables]
        dtypes = [str(x.dtype) for x in tree.flatten(inputs)]
        return repr((training, self.description(shapes), trainable, shapes, dtypes))

    def description(self, shapes: Any) -> Any:
        """What the layer is made of, names and initial weights aside, for inputs of such shapes."""
        return settings(self), _inner(self, shapes)


def _inner(layer: Any, shape: Any) -> list[Any]:
    """The settings of the layers inside, which may be changed after the block is made."""
    if not hasattr(layer, "inner_layers"):
        return [settings(layer)]
    return [found for pair in layer.inner_layers(shape) for found in _inner(*pair)]


def settings(layer: Any) -> tuple[str, str, dict[str, Any]]:
    """What a layer is made of, but for its name and initial weights.

    That is what its classes take and keep by that name; `get_config` would import TensorFlow on
    JAX.
    """
    kinds = type(layer).__mro__[: type(layer).__mro__.index(keras.layers.Layer)]
    names = {name for kind in kinds for name in inspect.signature(kind).parameters}
    kept = sorted(name for name in names - {"name", "dtype"} if hasattr(layer, name))
    values = {name: getattr(layer, name) for name in kept}
    chosen = {k: v for k, v in values.items() if not isinstance(v, keras.Initializer)}
    return type(layer).__name__, layer.dtype_policy.name, chosen
