"""All forms of convolution that MTNets use are right; known faults of other forms are found."""

import platform

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet import MTNet
from keras_mtnet.benchmark.convolutions import PASSES, TOLERANCES, Case, check, convolutions_of
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D

X86 = platform.machine() in ("x86_64", "AMD64") and platform.system() == "Linux"


def cases(*clips):
    """The convolutions of MTNetS, M and L, which differ in depth alone, for (frames, size).

    Of those that are one matrix product, some; `keras-mtnet benchmark --check` takes all.
    """
    found = {}
    for frames, size in clips:
        model = MTNet((24, 48, 96, 192), (2, 2, 2, 2), input_shape=(frames, size, size, 3))
        found.update((str(case), case) for case in convolutions_of(model))
    plain = [name for name in found if name.startswith("PointwiseConv3D 1x1x1 strides 1x1x1")]
    return [case for name, case in found.items() if name not in plain or plain.index(name) % 6 == 0]


def conv3d(shape, kernel_size, strides, filters=6):
    layer = keras.layers.Conv3D(filters, kernel_size, strides, padding="same", use_bias=False)
    return Case(keras.layers.serialize(layer), shape)


def test_convolutions_of_mtnets():
    """Clips of 4, 2 and 1 frames reach the stages; the prolonged branches have half of each."""
    found = cases((8, 32), (3, 24))
    assert {case.shape[1] for case in found} >= {8, 4, 2, 1}
    assert any(case.shape[1:4] == (1, 1, 1) for case in found)
    for result in check(found):
        assert result.right, result


def test_depthwise_convolutions():
    """Kernel gradients are sums over many positions, which half precision cannot hold."""
    shapes = ((2, 8, 32, 32, 24), (2, 8, 31, 33, 5))
    layers = (DepthwiseConv3D(3), DepthwiseConv3D((5, 1, 1)), DepthwiseConv3D(3, (1, 2, 2)))
    found = [Case(keras.layers.serialize(layer), shape) for layer in layers for shape in shapes]
    for result in check(found):
        assert max(result.errors) < TOLERANCES[result.precision] / 10, result


@pytest.mark.skipif(not X86, reason="oneDNN picks its instructions on x86 processors alone")
def test_convolutions_on_an_older_processor():
    """The 1x1 convolutions of few channels and stride 2 that are wrong on AVX2."""
    found = [case for case in cases((8, 48)) if case.shape[-1] < 24]
    for result in check(found, ["float32"], {"ONEDNN_MAX_CPU_ISA": "AVX2"}):
        assert result.right, result


# Newer processors have other instructions for bfloat16, AMX, which are right.
FAULTY = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}


def avx512():
    return X86 and "avx512bw" in open("/proc/cpuinfo").read()


@pytest.mark.skipif(not avx512(), reason="the fault is one of AVX-512")
def test_finds_wrong_gradients():
    """A Conv3D over two frames in bfloat16. Where TensorFlow has mended it, our form can go."""
    good, bad = conv3d((2, 5, 6, 6, 7), 3, 1), conv3d((2, 2, 6, 6, 7), 3, 1)
    results = list(check([good, bad, good], ["bfloat16"], FAULTY))
    assert [result.right for result in results] == [True, False, True]
    assert np.argmax(results[1].errors) == PASSES.index("gradient of the kernel")
    assert [result.case for result in results] == [good, bad, good]


@pytest.mark.skipif(not avx512(), reason="the fault is one of AVX-512")
def test_goes_on_where_a_process_ends():
    """Frames of one row and a stride: oneDNN writes where it must not, and the process may end."""
    good, bad = conv3d((2, 5, 6, 6, 7), 3, 1), conv3d((2, 5, 1, 5, 7), 3, (1, 2, 2))
    results = list(check([good, bad, good], ["bfloat16"], FAULTY))
    assert [result.right for result in results] == [True, False, True]


def test_a_failure_in_python_is_no_finding():
    case = conv3d((2, 5, 6, 6, 7), 3, 1)
    broken = Case({**case.layer, "class_name": "NoSuchLayer"}, case.shape)
    with pytest.raises(RuntimeError, match="NoSuchLayer"):
        list(check([broken], ["float32"]))


def gradients(dtype, ratio):
    """Of all weights of a small network, which bfloat16 can hold, in one row."""
    shape = (16, 64, 64, 3)
    # Smooth clips: of noise, normalization keeps little else than what rounding does to it.
    colors = np.random.default_rng(0).integers(0, 256, (8 * 16, 4, 4, 3))
    clips = np.reshape(tf.image.resize(colors, shape[1:3]), (8, *shape)).astype("uint8")
    keras.utils.set_random_seed(0)
    model = MTNet(
        (24, 48, 96, 192), (1, 1, 1, 1), ratio=ratio, input_shape=shape, classes=4,
        dropout_rate=0.0, dtype=dtype,
    )  # fmt: skip
    for variable in model.trainable_variables:
        variable.assign(tf.cast(tf.cast(variable.value, "bfloat16"), "float32"))
    with tf.GradientTape() as tape:
        scores = model(clips, training=True)
        loss = keras.losses.SparseCategoricalCrossentropy()(np.arange(8) % 4, scores)
    variables = [v.value for v in model.trainable_variables]
    found = tape.gradient(loss, variables, unconnected_gradients="zero")
    return np.concatenate([np.ravel(gradient) for gradient in found])


@pytest.mark.parametrize("ratio", [1.0, 7 / 8])
def test_training_in_bfloat16_on_this_processor(ratio):
    """Gradients of a whole network have the size and the direction that they have in float32.

    Which frames the prolonged branches keep may turn on the last bit, so at ratio 7/8 only the size
    is compared.
    """
    exact, half = gradients("float32", ratio), gradients("mixed_bfloat16", ratio)
    sizes = np.linalg.norm(exact), np.linalg.norm(half)
    assert 0.5 < sizes[1] / sizes[0] < 2
    if ratio == 1:
        assert exact @ half / np.prod(sizes) > 0.9
