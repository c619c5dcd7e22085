"""The networks of the study: MTNets, and others of the same cost on the same stem and head.

All have two stages of one block, the stem of X3D and its head. What differs is the block, and the
width of the stages, which is chosen so that the multiply-adds or the parameters of one clip of
16 x 64 x 64 are those of MTNet at ratio 7/8.
"""

from collections.abc import Callable
from typing import Any

import keras_mtnet as mt
from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out

import keras

CLIP = (16, 64, 64, 3)
FILTERS = 24  # of the first stage of MTNet; the second has twice as many
HEAD, UNITS, DROPOUT = 432, 2048, 0.2


@keras.saving.register_keras_serializable(package="keras_mtnet_study")
class FrameControl(keras.layers.Layer):
    """Clips without their motion: frames in random order, or the middle frame in place of all."""

    def __init__(self, kind: str, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind, self.seed = kind, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any) -> Any:
        t = x.shape[1]
        if self.kind == "single_frame":
            return keras.ops.repeat(x[:, t // 2 : t // 2 + 1], t, axis=1)
        order = keras.random.uniform((keras.ops.shape(x)[0], t), seed=self.generator)
        order = keras.ops.argsort(order, axis=1)[:, :, None, None, None]
        return keras.ops.take_along_axis(x, order, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "seed": self.seed}


def mtnet(classes: int, filters: int = FILTERS, control: str = "", **options: Any) -> keras.Model:
    """The paper's blocks; `options` are those of `mt.MTNet`."""
    inputs = keras.Input(CLIP, name="clips")
    clips = FrameControl(control, name="control")(inputs) if control else inputs
    widths, sizes = (filters, 2 * filters), {"head_filters": HEAD, "head_units": UNITS}
    return mt.MTNet(
        *(widths, (1, 1)),
        **{"input_tensor": clips, "classes": classes, "dropout_rate": DROPOUT, **sizes, **options},
    )


def convolutional(classes: int, filters: int, block: Callable) -> keras.Model:
    """Two stages of one `block` each, at the strides of MTNet: time is halved by a stride."""
    inputs = keras.Input(CLIP, name="clips")
    x = mt.layers.ClipNormalization(name="normalization")(inputs)
    x = _conv(x, 24, (1, 3, 3), (1, 2, 2), "stem_conv", norm=False)
    x = mt.layers.DepthwiseConv3D((5, 1, 1), strides=(2, 1, 1), name="stem_temporal")(x)
    x = keras.layers.ReLU()(batch_norm("stem_bn", False, None)(x))
    x = _residual(block, x, filters, (1, 2, 2), "stage1")
    x = _residual(block, x, 2 * filters, (2, 2, 2), "stage2")
    x = keras.layers.ReLU()(_conv(x, HEAD, (1, 1, 1), 1, "head_conv"))
    x = keras.layers.GlobalAveragePooling3D()(x)
    fan_out = {"use_bias": False, "kernel_initializer": he_fan_out()}
    x = keras.layers.Dense(UNITS, "relu", name="head_fc", **fan_out)(x)
    x = keras.layers.Dropout(DROPOUT)(x)
    small = keras.initializers.RandomNormal(stddev=0.01)
    x = keras.layers.Dense(classes, "softmax", kernel_initializer=small, name="predictions")(x)
    return keras.Model(inputs, x)


def _conv(x: Any, filters: int, kernel: Any, strides: Any, name: str, norm: bool = True) -> Any:
    kind = PointwiseConv3D if kernel == (1, 1, 1) else keras.layers.Conv3D
    arguments = {"use_bias": False, "kernel_initializer": he_fan_out(), "name": name}
    x = kind(filters, kernel_size=kernel, strides=strides, padding="same", **arguments)(x)
    return batch_norm(f"{name}_bn", False, None)(x) if norm else x


def _residual(block: Callable, x: Any, filters: int, strides: Any, name: str) -> Any:
    shortcut = _conv(x, filters, (1, 1, 1), strides, f"{name}_shortcut")
    x = keras.layers.Add()([block(x, filters, strides, name), shortcut])
    return keras.layers.ReLU()(x)


def resnet3d(x: Any, filters: int, strides: Any, name: str) -> Any:
    """He et al.'s basic block with kernels of 3x3x3 (Hara et al. 2018)."""
    x = keras.layers.ReLU()(_conv(x, filters, (3, 3, 3), strides, f"{name}_conv1"))
    return _conv(x, filters, (3, 3, 3), 1, f"{name}_conv2")


def r2plus1d(x: Any, filters: int, strides: Any, name: str) -> Any:
    """The same with each convolution as one over space and one over time (Tran et al. 2018)."""
    t, *space = strides
    x = keras.layers.ReLU()(_conv(x, filters, (1, 3, 3), (1, *space), f"{name}_conv1_space"))
    x = keras.layers.ReLU()(_conv(x, filters, (3, 1, 1), (t, 1, 1), f"{name}_conv1_time"))
    x = keras.layers.ReLU()(_conv(x, filters, (1, 3, 3), 1, f"{name}_conv2_space"))
    return _conv(x, filters, (3, 1, 1), 1, f"{name}_conv2_time")


def x3d(x: Any, filters: int, strides: Any, name: str) -> Any:
    """X3D's inverted bottleneck with squeeze and excitation (Feichtenhofer 2020)."""
    inner = int(2.25 * filters)
    x = keras.layers.ReLU()(_conv(x, inner, (1, 1, 1), 1, f"{name}_expand"))
    x = mt.layers.DepthwiseConv3D(3, strides=strides, name=f"{name}_depthwise")(x)
    x = batch_norm(f"{name}_depthwise_bn", False, None)(x)
    gate = keras.layers.GlobalAveragePooling3D(keepdims=True)(x)
    gate = keras.layers.Dense(max(8, inner // 16), "relu", name=f"{name}_squeeze")(gate)
    gate = keras.layers.Dense(inner, "sigmoid", name=f"{name}_excite")(gate)
    x = keras.layers.Activation("silu")(keras.layers.Multiply()([x, gate]))
    return _conv(x, filters, (1, 1, 1), 1, f"{name}_project")


# row -> (builder, its arguments); "_macs" and "_params" cost as much as ratio 7/8
BLOCKS = {"x3d": x3d, "r2plus1d": r2plus1d, "resnet3d": resnet3d}
POOLED = {"branch_pooling": "soft", "frame_selection": False}
ROWS: dict[str, tuple[Callable, dict[str, Any]]] = {
    "mtnet_7_8": (mtnet, {"ratio": 7 / 8}),
    "mtnet_3_4": (mtnet, {"ratio": 3 / 4}),
    "mtnet_1_2": (mtnet, {"ratio": 1 / 2}),
    "mtnet_1": (mtnet, {"ratio": 1}),
    **{f"mtnet_1_{what}": (mtnet, {"ratio": 1}) for what in ("macs", "params")},
    **{
        f"{name}_{what}": (convolutional, {"block": block})
        for name, block in BLOCKS.items()
        for what in ("macs", "params")
    },
    "shuffled": (mtnet, {"control": "shuffled"}),
    "single_frame": (mtnet, {"control": "single_frame"}),
    **{f"cell_{cell}": (mtnet, {"cell": cell}) for cell in ("rnn", "lstm", "peephole_lstm")},
    "pool_avg": (mtnet, {"branch_pooling": "avg"}),
    "pool_avg_symmetric": (mtnet, POOLED | {"branch_pooling": "avg"}),
    "pool_max_symmetric": (mtnet, POOLED | {"branch_pooling": "max"}),
    "pool_stochastic_symmetric": (mtnet, POOLED | {"branch_pooling": "stochastic"}),
    "pool_soft_symmetric": (mtnet, POOLED),
}


# Filters of the first stage at which the costs of a row are nearest to those of ratio 7/8.
WIDTHS = {
    "mtnet_1_macs": 20,
    "mtnet_1_params": 22,
    "x3d_macs": 57,
    "x3d_params": 63,
    "r2plus1d_macs": 37,
    "r2plus1d_params": 35,
    "resnet3d_macs": 26,
    "resnet3d_params": 25,
}


def build(row: str, classes: int) -> keras.Model:
    """The network of a row, with random weights."""
    builder, options = ROWS[row]
    return builder(classes, **{"filters": WIDTHS.get(row, FILTERS), **options})


def cost(model: keras.Model, what: str) -> int:
    """Multiply-adds (`"macs"`) or parameters (`"params"`) of a clip of the study."""
    return getattr(mt.count_costs(model, CLIP), what)
