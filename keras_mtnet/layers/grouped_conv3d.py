"""Grouped 3-D convolution as a few dense ones side by side."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.shapes import check_not_empty

# Dense convolutions of fewer input channels do not fill a processor's vectors: groups are put
# together up to here, with zeros for what they do not share.
DENSE_CHANNELS = 24


@keras.saving.register_keras_serializable(package="keras_mtnet")
class GroupedConv3D(CenteredConv3D):
    """A `CenteredConv3D` of groups of channels that do not see each other.

    `keras.layers.Conv3D(groups=...)` is this operation too, but TensorFlow runs it through XLA,
    on CPUs some ten times slower. Here, neighboring groups are put together until a dense
    convolution of them is worth it, and the results are concatenated. PyTorch has a grouped
    convolution of its own, which is used there.

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: int or (frames, height, width), odd.
        groups: must divide the channels of the input.
        **kwargs: of `keras.layers.Conv3D`, but for `padding`.

    Input: `(N, T, H, W, C)`. Output: `(N, T', H', W', filters)`. Kernel: `(*kernel_size,
    C / groups, filters)`, as in `keras.layers.Conv3D`.

    Example:

    >>> GroupedConv3D(32, 3, groups=16)(keras.ops.ones((1, 4, 8, 8, 16))).shape
    TensorShape([1, 4, 8, 8, 32])
    """

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], groups: int = 1, **kwargs: Any
    ):
        super().__init__(filters, kernel_size, groups=groups, **kwargs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        check_not_empty(inputs, type(self).__name__)
        members = self._members(kernel.shape[-2])
        convolve = super().convolution_op
        if self.groups == 1 or keras.backend.backend() == "torch":
            return convolve(inputs, kernel)
        parts = self.groups // members
        kernels = ops.split(self._dense(kernel, members), parts, axis=-1)
        clips = ops.split(inputs, parts, axis=-1)
        outputs = [convolve(clip, part) for clip, part in zip(clips, kernels, strict=True)]
        return ops.concatenate(outputs, axis=-1) if parts > 1 else outputs[0]

    def _members(self, channels: int) -> int:
        """How many groups of so many input channels are put together."""
        divisors = (n for n in range(1, self.groups + 1) if self.groups % n == 0)
        return next((n for n in divisors if n * channels >= DENSE_CHANNELS), self.groups)

    def _dense(self, kernel: Any, members: int) -> Any:
        """(T, H, W, C, F) of groups to (T, H, W, members * C, F) with zeros between.

        It is done for all parts at once, which takes a fraction of the operations to trace.
        """
        if members == 1:
            return kernel
        inner, outer = kernel.shape[-2], kernel.shape[-1] // self.groups
        own = np.kron(np.eye(members, dtype="bool"), np.ones((inner, outer), "bool"))
        own = np.tile(own, self.groups // members)
        return ops.where(own, ops.tile(kernel, (1, 1, 1, members, 1)), ops.cast(0, kernel.dtype))
