"""What the builders of all networks share: their arguments checked, their input, the last step."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras

from keras_mtnet.layers.shapes import check_channels_last


def check_arguments(
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    include_top: bool,
    pooling: str | None,
    classes: int,
    dropout_rate: float,
) -> None:
    """Raises ValueError, naming the argument and its value, for what no network can have."""
    check_channels_last()
    if len(stage_filters) != len(stage_depths) or not stage_filters:
        raise ValueError(
            "stage_filters and stage_depths must hold one number a stage. Received: "
            f"stage_filters={tuple(stage_filters)}, stage_depths={tuple(stage_depths)}"
        )
    if min(*stage_filters, *stage_depths) < 1:
        raise ValueError(
            "stage_filters and stage_depths must be positive. Received: "
            f"stage_filters={tuple(stage_filters)}, stage_depths={tuple(stage_depths)}"
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(
            "pooling must be None, 'avg' or 'max' (the branches' operator is branch_pooling). "
            f"Received: pooling={pooling!r}"
        )
    if include_top and (not isinstance(classes, Integral) or classes < 1):
        raise ValueError(f"classes must be a positive int. Received: classes={classes!r}")
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must be in [0, 1). Received: dropout_rate={dropout_rate}")


def clip_input(input_shape: Sequence[int | None] | None, input_tensor: Any) -> Any:
    """Returns the input tensor `(N, frames, height, width, 3)`."""
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise ValueError(
                f"input_tensor must be a Keras tensor, as keras.Input returns. Received: "
                f"{type(input_tensor).__name__}"
            )
        input_shape = input_tensor.shape[1:]
    shape = (None, None, None, 3) if input_shape is None else tuple(input_shape)
    if len(shape) != 4 or shape[-1] != 3 or any(s is not None and s < 1 for s in shape):
        raise ValueError(
            "input_shape must be (frames, height, width, 3) with positive sizes or None. "
            f"Received: input_shape={shape}"
        )
    return keras.Input(shape, name="clips") if input_tensor is None else input_tensor


def finish(inputs: Any, outputs: Any, name: str, weights: Any) -> keras.Model:
    """Makes the model of both ends, with weights if there are any."""
    sources = keras.utils.get_source_inputs(inputs)
    model = keras.Model(sources[0] if len(sources) == 1 else sources, outputs, name=name)
    if weights is not None:
        from keras_mtnet.weights import load_weights

        load_weights(model, weights)
    return model
