"""The released variant: equal to the authors' network by stored vectors, and a Keras citizen."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt
from keras_mtnet.clip_spec import MTNET_MEAN, MTNET_STD
from keras_mtnet.models.released_mtnet import (
    TORCH_KEYS,
    SimilarFrameSelection,
    TwoStreamEntry,
    TwoStreamMTBlock,
    TwoStreamMTConv,
)
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

VECTORS = Path(__file__).parents[1] / "vectors" / "released.npz"
LABELS = (3, 1)  # of the stored gradients


@pytest.fixture(scope="module")
def vectors():
    with np.load(VECTORS) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def state(vectors):
    """The stored state dict of the authors' network."""
    return {k.removeprefix("weight/"): v for k, v in vectors.items() if k.startswith("weight/")}


def narrow(**options):
    """A network of the widths of the stored vectors."""
    options = {
        "classifier_activation": None,
        "classes": 5,
        "include_preprocessing": False,  # stored clips are normalized already
        **options,
    }
    filters, depths = options.pop("stages", ((8, 16, 24), (2, 1, 2)))
    return mt.MTNet(filters, depths, variant="released", stem_filters=8, **options)


def stored_clip(vectors, name):
    return (vectors[f"{name}/pixels"].astype("float32") - 128) / 40


def with_gradient(model, clip):
    clip = tf.constant(clip)
    with tf.GradientTape() as tape:
        tape.watch(clip)
        logits = model(clip)
        loss = keras.losses.sparse_categorical_crossentropy(
            tf.constant(LABELS[: len(clip)]), logits, from_logits=True
        )
        loss = tf.reduce_mean(loss)
    return logits.numpy(), tape.gradient(loss, clip).numpy()


def assert_near(ours, theirs, tolerance):
    """Equal to a tolerance relative to the largest value, which is not small."""
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 1e-6
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "any size"])
@pytest.mark.parametrize("name", ["even", "odd"])
def test_equals_the_authors_network(vectors, state, name, known):
    """Logits to 1e-4 and gradients to 1e-3; the even clip ends in fewer than 3 rows."""
    clip = stored_clip(vectors, name)
    model = narrow(input_shape=clip.shape[1:] if known else None)
    from_state_dict(model, state, TORCH_KEYS)
    logits, gradient = with_gradient(model, clip)
    assert_near(logits, vectors[f"{name}/logits"], 1e-4)
    assert_near(gradient, vectors[f"{name}/gradient"], 1e-3)


def test_every_statistic_matters(vectors, state):
    """The stored numbers depend on each kind of tensor: the comparison cannot pass without."""
    clip = stored_clip(vectors, "even")
    model = narrow(input_shape=clip.shape[1:])
    for part in ("running_mean", "running_var", "norm_long.bias", "conv_short2long.weight", "_hh_"):
        changed = {k: v * 1.5 + 0.1 if part in k else v for k, v in state.items()}
        from_state_dict(model, changed, TORCH_KEYS)
        difference = np.abs(model(clip).numpy() - vectors["even/logits"]).max()
        assert difference > 1e-2, part


def test_state_dict_and_back(state):
    model = narrow()
    from_state_dict(model, state, TORCH_KEYS)
    back = to_state_dict(model, TORCH_KEYS)
    assert back.keys() == state.keys()
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(back[key], value, err_msg=key)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("fc.bias"), r"missing: fc\.bias"),
        (lambda s: s.update(extra=np.zeros(3)), "not part of the network: extra"),
        (lambda s: s.update({"fc.bias": np.zeros(4)}), r"fc\.bias is \(4,\), not \(5,\)"),
        (lambda s: s["fc.bias"].fill(np.nan), r"fc\.bias holds values that are not finite"),
        (lambda s: s.pop("layer2.0.sr_long.op.bias_hh_l1"), r"missing: layer2\.0\.sr_long"),
    ],
)
def test_state_dict_that_does_not_fit(state, change, message):
    model = narrow()
    before = model.get_weights()
    wrong = {key: value.copy() for key, value in state.items()}
    change(wrong)
    with pytest.raises(ValueError, match=message):
        from_state_dict(model, wrong, TORCH_KEYS)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_named_networks():
    """Parameters of the authors' MTNet_s with 200 classes, counted in PyTorch."""
    model = mt.MTNetS(variant="released", input_shape=(16, 112, 112, 3))
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == 39_879_368
    assert model.name == "mtnet_s" and model.output_shape == (None, 200)
    sizes = mt.models.mtnet.SIZES
    depths = [sizes[name].released_depths for name in ("MTNetS", "MTNetM", "MTNetL")]
    assert depths == [(2, 2, 5, 3), (3, 4, 6, 3), (3, 4, 23, 3)]


def test_takes_rgb_and_normalizes_bgr(state):
    """The authors' pipeline reads BGR, and normalizes it with the mean of RGB."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 32, 32, 3)).astype("uint8")
    model, inner = narrow(include_preprocessing=True), narrow()
    from_state_dict(model, state, TORCH_KEYS)
    from_state_dict(inner, state, TORCH_KEYS)
    expected = inner((pixels[..., ::-1] / 255 - MTNET_MEAN) / MTNET_STD)
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-4)


def test_costs():
    """The two streams are followed by their own shapes."""
    costs = mt.count_costs(narrow(), (8, 32, 32, 3))
    by_name = {stage.name: stage for stage in costs.stages}
    assert by_name["stage1"].output_shape == ((4, 8, 8, 7), (2, 4, 4, 1))
    assert by_name["stage3"].output_shape == ((1, 2, 2, 21), (1, 1, 1, 3))
    assert "4x8x8x7 + 2x4x4x1" in str(costs)
    assert costs.params == narrow().count_params()
    # 8 frames of 16x16 positions, 3x7x7x3 to 8 channels
    assert by_name["stem"].macs == 8 * 16 * 16 * 3 * 7 * 7 * 3 * 8


def test_variant_is_checked():
    with pytest.raises(ValueError, match=r"paper.*released.*'new'"):
        mt.MTNetS(variant="new")


@pytest.mark.parametrize("pooling", [None, "max"])
def test_without_the_top(vectors, pooling):
    clip = stored_clip(vectors, "even")
    model = narrow(include_top=False, pooling=pooling)
    assert model(clip).shape == ((2, 24) if pooling else (2, 1, 2, 2, 24))
    assert model.output_shape == ((None, 24) if pooling else (None, None, None, None, 24))


def test_average_is_what_the_classifier_reads(vectors, state):
    clip = stored_clip(vectors, "even")
    model = narrow(input_shape=clip.shape[1:])
    from_state_dict(model, state, TORCH_KEYS)
    features = narrow(include_top=False, pooling="avg", input_shape=clip.shape[1:])
    features.set_weights(model.get_weights()[:-2])
    np.testing.assert_allclose(
        model.get_layer("predictions")(features(clip)), model(clip), rtol=1e-5, atol=1e-5
    )


def test_saved_and_loaded(vectors, state, tmp_path):
    clip = stored_clip(vectors, "odd")
    model = narrow(cell="lstm", dropout_rate=0.3, synchronized=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(clip), model(clip))
    assert [w.path for w in again.weights] == [w.path for w in model.weights]


def test_names_do_not_depend_on_what_was_built_before():
    first, second = narrow(), narrow()
    assert [w.path for w in first.weights] == [w.path for w in second.weights]
    assert len({w.path for w in first.weights}) == len(first.weights)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(vectors, state, dtype):
    clip = stored_clip(vectors, "even")
    model = narrow(dtype=dtype, input_shape=clip.shape[1:])
    from_state_dict(model, state, TORCH_KEYS)
    assert all(w.dtype == "float32" for w in model.weights if w.dtype.startswith("f"))
    assert model.get_layer("stage3_block2").compute_dtype == dtype.removeprefix("mixed_")
    logits, gradient = with_gradient(model, clip)
    assert logits.dtype == np.float32 and np.isfinite(gradient).all()
    assert_near(logits, vectors["even/logits"], 0.05)


def test_every_weight_learns():
    """Only the recurrent kernels of streams of a single frame get no gradient."""
    model = narrow(
        classes=4, input_shape=(12, 16, 16, 3), stages=((8,), (2,)), classifier_activation="softmax"
    )
    assert [x.shape[1] for x in model.get_layer("stage1_block2").output] == [6, 3]
    clip = np.random.default_rng(0).normal(size=(2, 12, 16, 16, 3)).astype("float32")
    with tf.GradientTape() as tape:
        scores = model(clip, training=True)
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(tf.constant([1, 2]), scores)
        )
    weights = [w.value for w in model.trainable_weights]
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, weights), strict=True):
        assert np.abs(gradient).max() > 0, weight.path


def test_shared_normalization_sees_both_terms():
    """In training it normalizes each by its own statistics, and moves its own by both in turn."""
    keras.utils.set_random_seed(1)
    conv = TwoStreamMTConv(8, ratio=0.5)
    rng = np.random.default_rng(1)
    local = rng.normal(1, 2, (2, 2, 4, 4, 4)).astype("float32")
    prolonged = rng.normal(-3, 1, (2, 2, 2, 2, 4)).astype("float32")
    conv.build([local.shape, prolonged.shape])
    first = np.einsum("nthwc,cd->nthwd", prolonged, conv.prolonged_conv.kernel.numpy()[0, 0, 0])
    u = np.einsum("nthwc,cd->nthwd", local, conv.local_conv.kernel.numpy()[0, 0, 0])
    pooled = u.reshape(2, 2, 2, 2, 2, 2, 4).mean(axis=(3, 5))  # two frames stay
    second = np.einsum("nthwc,cd->nthwd", pooled, conv.lateral_conv.kernel.numpy()[0, 0, 0])
    _, y = conv([local, prolonged], training=True)
    expected = sum(
        (term - term.mean(axis=(0, 1, 2, 3))) / np.sqrt(term.var(axis=(0, 1, 2, 3)) + 1e-5)
        for term in (first, second)
    )
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)
    mean = 0.1 * first.mean(axis=(0, 1, 2, 3)) * 0.9 + 0.1 * second.mean(axis=(0, 1, 2, 3))
    np.testing.assert_allclose(conv.prolonged_bn.moving_mean, mean, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2, (1, 2, 2)])
@pytest.mark.parametrize("filters", [8, 16])
def test_block_shapes(filters, strides):
    block = TwoStreamMTBlock(filters, strides=strides)
    streams = [np.ones((1, 5, 9, 7, 7), "float32"), np.ones((1, 2, 4, 3, 1), "float32")]
    shapes = block.compute_output_shape([x.shape for x in streams])
    assert [tuple(y.shape) for y in block(streams)] == [tuple(shape) for shape in shapes]
    unknown = block.compute_output_shape([(None, None, None, None, 7), (None, None, None, None, 1)])
    assert [shape[-1] for shape in unknown] == [filters * 7 // 8, filters // 8]
    assert {size for shape in unknown for size in shape[:-1]} == {None}


# --- What the two streams start from, against plain NumPy -----------------------------------------


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


def test_streams_need_a_ratio_below_one():
    with pytest.raises(ValueError, match="ratio=1"):
        TwoStreamMTConv(8, ratio=1)
    with pytest.raises(ValueError, match="at least one"):
        TwoStreamMTConv(1, ratio=7 / 8)
