"""Layers that compute their activations again for the gradient instead of keeping them."""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

if TYPE_CHECKING:  # a plain mixin when it runs
    from keras.layers import Layer as _Base
else:
    _Base = object


class Remat(_Base):
    """Mixed into a layer, keeps nothing between its input and output if `remat` is set.

    A training step then needs less memory and computes the layer twice.

    `keras.RematScope` around such a layer would count every batch twice in the moving statistics
    of its normalizations. Here the second time changes nothing.
    """

    remat = False
    _inside = False  # the current call is one whose activations are not kept

    def _rematerializes(self, training: bool | None) -> bool:
        """Whether `call` should hand over to `_call_again`."""
        return bool(self.remat and training and not self._inside)

    def _call_again(self, inputs: Any) -> Any:
        """The result of the layer in training, of which only the inputs are kept."""
        values = tree.flatten(inputs)
        variables = [*self.trainable_variables, *self.non_trainable_variables]
        state = self.non_trainable_variables

        # A function of values alone: nothing but what it is given gets a gradient, or changes.
        def run(*given: Any) -> list[Any]:
            x = tree.pack_sequence_as(inputs, given[: len(values)])
            mapping = list(zip(variables, given[len(values) :], strict=True))
            self._inside = True
            try:
                with keras.StatelessScope(state_mapping=mapping) as scope:
                    y = self(x, training=True)
                updated = [ops.stop_gradient(scope.get_current_value(v)) for v in state]
            finally:
                self._inside = False
            return [*tree.flatten(y), *updated]

        # What the variables hold now: by the second time, some have changed.
        results = keras.remat(run)(*values, *map(ops.copy, variables))
        outputs = len(results) - len(state)
        for variable, value in zip(state, results[outputs:], strict=True):
            variable.assign(value)
        return results[0] if outputs == 1 else list(results[:outputs])
