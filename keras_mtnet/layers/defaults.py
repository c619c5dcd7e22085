"""Batch normalization and initial weights, as all MTNets have them."""

from typing import Any

import keras

# The defaults of the authors' framework (PyTorch's momentum 0.1): Keras' own 0.99 and 1e-3 leave
# the statistics of short runs unusable.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def batch_norm(
    name: str,
    synchronized: bool,
    dtype: Any,
    gamma_initializer: Any = "ones",
    momentum: float = BN_MOMENTUM,
    epsilon: float = BN_EPSILON,
) -> keras.layers.BatchNormalization:
    """A batch normalization, by default with the momentum and epsilon of MTNets.

    With scales of zeros, the last one of a residual branch starts training with the identity.
    """
    return keras.layers.BatchNormalization(
        momentum=momentum,
        epsilon=epsilon,
        gamma_initializer=gamma_initializer,
        synchronized=synchronized,
        dtype=dtype,
        name=name,
    )


def he_fan_out() -> keras.initializers.Initializer:
    """A new He normal initializer over the fan out, for one layer."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
