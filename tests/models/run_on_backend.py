"""Runs the layers and narrow networks on one Keras backend and writes what they give.

    KERAS_BACKEND=jax python tests/models/run_on_backend.py out.npz

Weights and clips come from seeds, so they are the same everywhere. On another backend than
TensorFlow, TensorFlow is as good as not installed: importing it fails.
"""

import os
import sys
from pathlib import Path

if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.modules["tensorflow"] = None
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import keras
import numpy as np
import numpy_layers as reference
from layer_cases import clip, make

import keras_mtnet as mt
from keras_mtnet import layers, models
from keras_mtnet.layers.convolutions import ClipConv3D
from keras_mtnet.models.released_mtnet import TwoStreamEntry, TwoStreamMTBlock
from keras_mtnet.models.video_model import VideoModel

LAYERS = (
    "soft_pool",
    "soft_pool_overlapping",
    "average_pool",
    "stochastic_pool",
    "selection",
    "temporal",
    "depthwise",
    "pointwise",
    "mt_conv",
    "squeeze_gru",
    "squeeze_peephole",
    "mt_block",
)
CELLS = ("rnn", "gru", "lstm", "peephole_lstm")


def compute(function, x):
    """Compiled as a whole by JAX, which else compiles every operation that it meets."""
    if keras.backend.backend() != "jax":
        return function(x)
    import jax

    return jax.jit(function)(x)


def network(cell):
    """One stage of one block."""
    options = {
        "include_preprocessing": False,
        "head_filters": 12,
        "head_units": 16,
        "ratio": 0.5,
        "cell": cell,
        "classes": 5,
    }
    model = models.MTNet((8,), (1,), input_shape=(8, 12, 12, 3), stem_filters=8, **options)
    reference.randomize(model, scale=0.7)
    return model


def released():
    """What the released networks have of their own: both streams through one strided block."""
    block = TwoStreamMTBlock(16, strides=2)
    streams = TwoStreamEntry(ratio=0.5)(keras.ops.abs(clip((2, 8, 11, 12, 8))))
    block.build([stream.shape for stream in streams])
    reference.randomize(block, scale=0.7)
    return keras.ops.concatenate(
        [keras.ops.mean(y, (1, 2, 3)) for y in compute(block, streams)], -1
    )


def one_frame():
    """A convolution that meets the center of its kernel only."""
    convolution = ClipConv3D(8, 3, padding="same")
    convolution.build((None, 1, 6, 6, 4))
    reference.randomize(convolution, scale=0.7)
    return compute(convolution, clip((2, 1, 6, 6, 4)))


def trained(*called, kind=keras.Model):
    """Weights of a small model after a step: hand-written gradients pass through each backend."""
    inputs = x = keras.Input((8, 6, 6, 8))
    for layer in called:
        x = layer(x)
    model = kind(inputs, keras.layers.GlobalAveragePooling3D()(x))
    reference.randomize(model, scale=0.7)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    model.train_on_batch(clip((3, 8, 6, 6, 8)), np.ones((3, 8), "float32"))
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(w)) for w in model.weights])


def alike():
    """Two blocks of one kind after a step; what compiles traces them once."""
    traced, convolve = [], layers.MTBlock._convolve

    def watched(self, *arguments):
        traced.append(self.name)
        return convolve(self, *arguments)

    blocks = [layers.MTBlock(8, ratio=0.5, name=name) for name in ("a", "b")]
    layers.MTBlock._convolve = watched
    try:
        weights = trained(keras.Sequential(blocks, name="blocks"))
    finally:
        layers.MTBlock._convolve = convolve
    assert traced[-1] == ("b" if keras.backend.backend() == "torch" else "a"), traced
    return weights


def in_blocks():
    """A network of plain layers, whose two blocks are of one kind, after a step."""
    plain = []
    for name in ("stage1_block1", "stage1_block2"):
        plain.append(keras.layers.Conv3D(8, 1, name=f"{name}_conv"))
        plain.append(keras.layers.BatchNormalization(name=f"{name}_bn"))
    return trained(*plain, kind=VideoModel)


def main(path):
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
    assert layers.MTConv and mt.MTNetM
    results = {f"layer/{name}": compute(make(name), clip()) for name in LAYERS}
    for cell in CELLS:
        results[f"network/{cell}"] = compute(network(cell), clip((2, 8, 12, 12, 3)))
    results["released"] = released()
    results["one_frame"] = one_frame()
    results["trained"] = trained(layers.MTConv(8, ratio=0.5))
    results["recomputed"] = trained(layers.MTBlock(8, ratio=0.5, remat=True))
    results["alike"] = alike()
    results["in_blocks"] = in_blocks()
    pixels = np.arange(12, dtype="uint8").reshape(1, 1, 2, 2, 3)
    normalized = layers.ClipNormalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bgr")(pixels)
    results["normalized"] = normalized
    results["grad_cam"] = mt.explain.grad_cam(network("gru"), clip((1, 8, 12, 12, 3))[0], 1)
    np.savez(path, **{k: keras.ops.convert_to_numpy(v) for k, v in results.items()})


if __name__ == "__main__":
    main(sys.argv[1])
