"""The first layer of every network: clips of pixels to the values it was trained on."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import logging
from keras import ops

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.shapes import check_not_empty

CHANNEL_ORDERS = ("rgb", "bgr")


# Names of the types whose values can be looked at.
EAGER = ("ndarray", "EagerTensor", "ArrayImpl")


@keras.saving.register_keras_serializable(package="keras_mtnet")
class ClipNormalization(keras.layers.Layer):
    """Normalizes RGB clips of 0 to 255 by `(x / 255 - mean) / std`, per channel.

    Computes in float32 (float64 for float64), then casts to the compute dtype: float16 cannot tell
    all 256 values of a pixel apart once they are shifted.

    The layer also carries the `ClipSpec` of its network, which `model.clip_spec` reads, so that it
    survives saving, cloning and surgery.

    Args:
        mean: three numbers, of channels scaled to 0..1, in the order of `channel_order`. None,
            with `std=None`, leaves clips as they are.
        std: three numbers, in the same order.
        channel_order: `"rgb"`, or `"bgr"` for a network that was trained on reversed channels.
            Clips are RGB in either case.
        clip_spec: the clips that the network was trained on, a `ClipSpec` or its `to_dict()`.

    Input: `(N, T, H, W, 3)`, RGB, 0 to 255. Output: the same shape in the compute dtype.

    Raises:
        ValueError: for other numbers or orders, for input of another shape, and for no clips.

    Example:

    >>> layer = ClipNormalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> float(layer(keras.ops.full((1, 1, 1, 1, 3), 255, "uint8"))[0, 0, 0, 0, 0])
    1.0
    """

    _looks = 3  # batches that are still to be looked at

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str = "rgb",
        clip_spec: ClipSpec | dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{"autocast": False, **kwargs})
        if (mean is None) != (std is None):
            raise ValueError(f"Give mean and std, or neither. Received: mean={mean}, std={std}")
        if mean is not None and (len(mean) != 3 or len(std) != 3 or not all(s > 0 for s in std)):
            raise ValueError(
                "mean and std must be three numbers each, std above 0. "
                f"Received: mean={mean}, std={std}"
            )
        if channel_order not in CHANNEL_ORDERS:
            raise ValueError(
                f"channel_order must be one of {CHANNEL_ORDERS}. Received: {channel_order!r}"
            )
        self.mean = None if mean is None else tuple(map(float, mean))
        self.std = None if std is None else tuple(map(float, std))
        self.channel_order = channel_order
        self.clip_spec = (
            clip_spec if isinstance(clip_spec, ClipSpec) else ClipSpec(**clip_spec or {})
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) != 5 or input_shape[-1] != 3:
            raise ValueError(
                "Clips must have shape (batch, frames, height, width, 3). "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        check_not_empty(x, "ClipNormalization")
        self.check_range(x)
        x = ops.cast(x, "float64" if self.compute_dtype == "float64" else "float32")
        if self.channel_order == "bgr":
            x = ops.flip(x, axis=-1)
        if self.mean is not None and self.std is not None:
            # One multiplication and one subtraction; the constants are folded first.
            scale = [1 / (255 * s) for s in self.std]
            shift = [m / s for m, s in zip(self.mean, self.std, strict=True)]
            x = x * ops.convert_to_tensor(scale, x.dtype) - ops.convert_to_tensor(shift, x.dtype)
        return ops.cast(x, self.compute_dtype)

    def check_range(self, x: Any) -> None:
        """Warns, once, of float clips that look as if they were scaled to 0..1 already.

        Only arrays and eager tensors are looked at, and of those the first clip. Shares of one tell
        scaled clips from very dark ones.
        """
        if self.mean is None or not self._looks or type(x).__name__ not in EAGER:
            return
        first = x[:1]
        if type(first).__name__ not in EAGER:  # a constant that a `tf.function` captured
            return
        first = np.asarray(first)
        if first.dtype.kind != "f" or not first.size:
            return
        self._looks -= 1
        low, high = float(first.min()), float(first.max())
        if 0 <= low and high <= 1 and (first % 1).any():
            self._looks = 0
            logging.warning(
                "The values of the first clip lie between %.3g and %.3g. The network takes RGB "
                "from 0 to 255 and normalizes inside: give it clips as they are decoded, or build "
                "it with include_preprocessing=False for clips that are normalized already.",
                *(low, high),
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mean": self.mean,
            "std": self.std,
            "channel_order": self.channel_order,
            "clip_spec": self.clip_spec.to_dict(),
        }
