"""What the two streams of the released networks start from, against plain NumPy."""

import keras
import numpy as np
import pytest

from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.similar_frame_selection import SimilarFrameSelection
from keras_mtnet.layers.two_stream_entry import TwoStreamEntry
from keras_mtnet.layers.two_stream_mt_conv import TwoStreamMTConv


def kept(x):
    """Numbers of the frames that stay, of one clip `(T, H, W, C)`, by the plain definition."""
    t = len(x)
    if t < 3:
        return list(range(t))
    means = x.mean(axis=(1, 2)).astype("float64")
    unit = means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), 1e-4)
    square = [float(unit[i] @ unit[i + 1]) ** 2 for i in range(t - 1)]
    score = {i: square[i - 1] + square[i] for i in range(1, t - 1)}
    return sorted(sorted(score, key=lambda i: (-score[i], i))[: t // 2])


def some(shape, seed=0, low=-1.0):
    return np.random.default_rng(seed).uniform(low, 1, shape).astype("float32")


def any_size(layer, x):
    """Runs a layer where the frames, rows and columns are known only when it runs."""
    inputs = keras.Input((None, None, None, x.shape[-1]))
    return keras.Model(inputs, layer(inputs)).predict(x, verbose=0)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 13])
def test_selection(frames):
    x = some((3, frames, 2, 3, 4), seed=frames)
    layer = SimilarFrameSelection()
    expected = np.stack([clip[kept(clip)] for clip in x])
    np.testing.assert_array_equal(layer(x), expected)
    np.testing.assert_array_equal(any_size(layer, x), expected)
    assert layer.compute_output_shape(x.shape) == expected.shape
    assert layer.compute_output_shape((None, None, 2, 3, 4)) == (None, None, 2, 3, 4)


def test_selection_squares_the_cosine():
    """Opposite frames count as alike, and frames near zero as unlike."""
    frame = some((1, 2, 3))
    x = np.stack([frame, -frame, frame, 1e-6 * frame, some((1, 2, 3), 1), some((1, 2, 3), 2)])[None]
    rows = np.asarray(SimilarFrameSelection()(x))[0]
    np.testing.assert_array_equal(rows, x[0, kept(x[0])])
    assert 1 in kept(x[0]) and 3 not in kept(x[0])


def test_selection_takes_the_earlier_of_equal_frames():
    x = np.ones((1, 8, 1, 1, 2)) * 2.0 ** np.arange(8)[None, :, None, None, None]
    np.testing.assert_array_equal(
        np.asarray(SimilarFrameSelection()(x))[0, :, 0, 0, 0], [2, 4, 8, 16]
    )


@pytest.mark.parametrize("frames, factor", [(9, 3), (4, 1)])
def test_selection_by_another_factor(frames, factor):
    layer = SimilarFrameSelection(factor)
    assert layer(some((1, frames, 2, 2, 3))).shape == (1, frames // factor, 2, 2, 3)
    assert SimilarFrameSelection.from_config(layer.get_config()).factor == factor


def entered(x, local):
    """The two streams, from the authors' steps: repeat an edge, pool with edges of -inf, select."""
    n, t, h, w, c = x.shape
    if h % 2 or w % 2:
        x = np.pad(x, [(0, 0), (0, 0), (1, 0), (1, 0), (0, 0)], mode="edge")
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    rows, columns = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    pooled = np.empty((n, t, rows, columns, c), "float32")
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            pooled[:, :, i, j] = window.max(axis=(2, 3))
    pooled = np.stack([clip[kept(clip)] for clip in pooled])
    prolonged = pooled[:, :, : rows // 2 * 2, : columns // 2 * 2, local:]
    prolonged = prolonged.reshape(n, -1, rows // 2, 2, columns // 2, 2, c - local).mean(axis=(3, 5))
    return pooled[..., :local], np.stack([clip[kept(clip)] for clip in prolonged])


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 9), (11, 7)])
def test_entry(size):
    x = np.maximum(some((2, 9, *size, 8), seed=sum(size)), 0)
    layer = TwoStreamEntry(ratio=0.75)
    expected = entered(x, 6)
    for ours in (layer(x), any_size(layer, x)):
        for stream, wanted in zip(ours, expected, strict=True):
            np.testing.assert_allclose(stream, wanted, rtol=1e-6, atol=1e-7)
    shapes = layer.compute_output_shape(x.shape)
    assert shapes == [stream.shape for stream in expected]
    unknown = layer.compute_output_shape((None, None, 8, None, 8))
    assert unknown == [(None, None, None, None, 6), (None, None, None, None, 2)]


@pytest.mark.parametrize("sizes", [(4, 8, 8), (5, 7, 9)])
@pytest.mark.parametrize("strides", [1, 2, (1, 2, 2)])
def test_centered_convolution(sizes, strides):
    """Windows are centered on every stride-th position from the first: a dense result, skipped."""
    conv = CenteredConv3D(3, 3, strides=strides, use_bias=False)
    x = some((2, *sizes, 4))
    y = np.asarray(conv(x))
    dense = CenteredConv3D(3, 3, use_bias=False)
    dense.build(x.shape)
    dense.kernel.assign(conv.kernel)
    t, h, w = conv.strides
    np.testing.assert_allclose(y, np.asarray(dense(x))[:, ::t, ::h, ::w], rtol=1e-4, atol=1e-5)
    assert conv.compute_output_shape(x.shape) == y.shape
    assert CenteredConv3D.from_config(conv.get_config()).padding == "same"


def test_streams_need_a_ratio_below_one():
    with pytest.raises(ValueError, match="ratio=1"):
        TwoStreamMTConv(8, ratio=1)
    with pytest.raises(ValueError, match="at least one"):
        TwoStreamMTConv(1, ratio=7 / 8)
