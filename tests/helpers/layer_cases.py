"""One table of layers for the tests that hold for all of them, and clips to call them with."""

import keras
import numpy as np
import numpy_layers as reference

from keras_mtnet.layers import (
    MTBlock,
    MTConv,
    SoftPool,
    SqueezeAndRecursion,
    TripletCosineSelection,
)
from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.grouped_conv3d import GroupedConv3D
from keras_mtnet.layers.temporal_shift import TemporalShift
from keras_mtnet.layers.window_pooling import AveragePool, MaxPool, StochasticPool

SYNCHRONIZED = keras.backend.backend() == "tensorflow"  # Keras has it for no other backend

# Some without defaults wherever there is a choice, so that a forgotten argument shows.
LAYERS = {
    "soft_pool": (SoftPool, {}),
    "soft_pool_overlapping": (
        SoftPool,
        {"pool_size": (2, 3, 3), "strides": (1, 2, 1), "padding": "same"},
    ),
    "average_pool": (AveragePool, {"pool_size": (2, 2, 2), "padding": "same"}),
    "max_pool": (MaxPool, {"pool_size": (1, 3, 3), "strides": (1, 2, 2)}),
    "stochastic_pool": (StochasticPool, {"pool_size": (2, 2, 2), "seed": 5}),
    "selection": (TripletCosineSelection, {"factor": 3}),
    "temporal": (
        DepthwiseConv3D,
        {"kernel_size": (3, 1, 1), "kernel_initializer": "he_normal", "use_bias": True},
    ),
    "depthwise": (DepthwiseConv3D, {"kernel_size": (3, 5, 3), "strides": (2, 2, 2)}),
    "pointwise": (PointwiseConv3D, {"filters": 6, "strides": (2, 1, 2), "padding": "same"}),
    "grouped": (GroupedConv3D, {"filters": 12, "kernel_size": (1, 3, 3), "groups": 4}),
    "shift": (TemporalShift, {"divisor": 4}),
    "mt_conv": (MTConv, {"filters": 8, "ratio": 0.5}),
    "mt_conv_strided": (
        MTConv,
        {
            "filters": 6,
            "kernel_size": (1, 3, 2),
            "strides": (2, 1, 2),
            "ratio": 0.25,
            "activation": None,
            "pooling": "max",
            "frame_selection": False,
            "synchronized": SYNCHRONIZED,
        },
    ),
    "mt_conv_plain": (MTConv, {"filters": 6, "ratio": 1, "activation": "tanh"}),
    "mt_conv_fused": (MTConv, {"filters": 8, "ratio": 0.5, "padding": "centered", "fused": True}),
    "squeeze_gru": (SqueezeAndRecursion, {}),
    "squeeze_peephole": (SqueezeAndRecursion, {"cell": "peephole_lstm", "num_layers": 1}),
    "mt_block": (MTBlock, {"filters": 8, "ratio": 0.5}),
    "mt_block_strided": (
        MTBlock,
        {
            "filters": 6,
            "strides": (2, 1, 2),
            "bottleneck": 1.5,
            "ratio": 0.25,
            "cell": "lstm",
            "pooling": "avg",
            "frame_selection": False,
            "synchronized": SYNCHRONIZED,
            "remat": True,
        },
    ),
    "mt_block_fused": (MTBlock, {"filters": 6, "strides": (2, 2, 2), "ratio": 0.5, "fused": True}),
}

# Of 4 frames two lie inside, and halving keeps both: rounding cannot change what is selected.
SHAPE = (2, 4, 6, 6, 8)


def clip(shape=SHAPE, seed=0):
    """A clip of frames that differ, in values that bfloat16 holds exactly."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(shape[0], shape[1], 1, 1, shape[-1])) + rng.normal(size=shape)
    return keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32"))


def make(case, **more):
    """A layer of the table, built for clips like SHAPE, with random weights."""
    layer_class, arguments = LAYERS[case]
    layer = layer_class(**arguments, **more)
    layer.build(SHAPE)
    reference.randomize(layer)
    return layer


def model_of(layer, sizes=SHAPE[1:4]):
    """A model of the one layer, for clips of these frames, rows and columns."""
    inputs = keras.Input((*sizes, SHAPE[-1]))
    return keras.Model(inputs, layer(inputs))
