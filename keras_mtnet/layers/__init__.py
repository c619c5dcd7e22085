"""Layers of Multi-Temporal Networks, in `keras.ops` alone: they run on every Keras backend."""

import keras  # noqa: F401  before our own modules: see keras_mtnet/__init__.py

from keras_mtnet.layers.clip_normalization import ClipNormalization
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.mt_conv import MTConv
from keras_mtnet.layers.peephole_lstm import PeepholeLSTMCell
from keras_mtnet.layers.soft_pool import SoftPool
from keras_mtnet.layers.squeeze_and_recursion import SqueezeAndRecursion
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection

__all__ = [
    "ClipNormalization",
    "DepthwiseConv3D",
    "MTBlock",
    "MTConv",
    "PeepholeLSTMCell",
    "SoftPool",
    "SqueezeAndRecursion",
    "TripletCosineSelection",
]
