"""The plain forms of what our networks do in faster ones, to see what each of these brings."""

import os
from collections.abc import Sequence
from typing import Any


def no_onednn() -> None:
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"


def plain_convolutions() -> None:
    """1x1x1 convolutions by Keras' Conv3D."""
    from keras_mtnet.layers.convolutions import PointwiseConv3D

    import keras

    PointwiseConv3D.convolution_op = keras.layers.Conv3D.convolution_op


def plain_normalization() -> None:
    """Each normalization by Keras' own layer, and its derived gradient."""
    from keras_mtnet.layers import mt_block, mt_conv

    def conv_norm(conv: Any, norm: Any, x: Any, _: Any) -> Any:
        return norm(conv.convolution_op(x, conv.kernel))

    for module in (mt_block, mt_conv):
        module.conv_norm = conv_norm
        module.fixed_affines = lambda norms, training: [None] * len(norms)


def joined_branches() -> None:
    """Both branches joined after each MTConv and split for the next."""
    from keras_mtnet.layers import MTBlock

    def convolve(self: MTBlock, x: Any, affines: Sequence[Any], training: bool | None) -> Any:
        for conv in self.convs:
            x = conv(x, training=training)
        return x

    MTBlock._convolve = convolve


def pooled_apart() -> None:
    """Input and connection of the prolonged branch pooled one after the other."""
    from keras_mtnet.layers import MTConv

    MTConv._down_both = lambda self, x, a, training: [self._down(each, training) for each in (x, a)]


def derived_soft_pool() -> None:
    """SoftPool by its formula, with the gradient that follows from it."""
    from keras_mtnet.layers import SoftPool
    from keras_mtnet.layers.window_pooling import WindowPooling

    SoftPool.call = WindowPooling.call  # any windows, by what `_reduce` does


def looped_recurrence() -> None:
    """Gates go over their frames in a loop of the graph."""
    from keras_mtnet.layers import recurrence

    recurrence.UNROLL_UP_TO = 0


FORMS = {
    "without oneDNN": no_onednn,
    "1x1x1 by Conv3D": plain_convolutions,
    "BatchNormalization": plain_normalization,
    "branches joined": joined_branches,
    "pooled apart": pooled_apart,
    "SoftPool derived": derived_soft_pool,
    "gates in loops": looped_recurrence,
}
