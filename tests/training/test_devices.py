import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.training.devices import (
    dtype_policy,
    even_batches,
    make_strategy,
    resolve_precision,
)


def batches(*sizes: int) -> tf.data.Dataset:
    """Batches of such sizes; clip and label k of all are k."""
    ends = np.cumsum(sizes)

    def numbers():
        for size, end in zip(sizes, ends, strict=True):
            values = np.arange(end - size, end)
            yield values.astype("float32"), values.astype("int32")

    signature = (tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(numbers, output_signature=signature)


def test_batches_are_filled_up_with_weightless_clips():
    filled = [[t.numpy().tolist() for t in batch] for batch in even_batches(batches(4, 3, 1), 4)]
    assert [clips for clips, _, _ in filled] == [[0, 1, 2, 3], [4, 5, 6, 4], [7, 7, 7, 7]]
    assert [labels for _, labels, _ in filled] == [clips for clips, _, _ in filled]
    np.testing.assert_allclose(
        [weights for _, _, weights in filled],
        [[1, 1, 1, 1], [4 / 3, 4 / 3, 4 / 3, 0], [4, 0, 0, 0]],
        rtol=1e-6,
    )


def test_soft_labels_are_filled_up_with_their_clips():
    soft = batches(3).map(lambda clips, labels: (clips, tf.one_hot(labels, 5)))
    ((_, labels, weights),) = even_batches(soft, 2)
    np.testing.assert_array_equal(labels, np.eye(5)[[0, 1, 2, 0]])
    np.testing.assert_allclose(weights, [4 / 3, 4 / 3, 4 / 3, 0], rtol=1e-6)


def test_a_short_batch_has_the_mean_of_its_own_clips():
    """What Keras divides by, the filled size, and the weights cancel."""
    for clips, _, weights in even_batches(batches(8, 5), 4):
        real = clips.numpy()[weights.numpy() > 0]
        assert np.mean(clips * weights) == pytest.approx(real.mean())


def test_a_test_counts_every_clip_the_same():
    filled = list(even_batches(batches(4, 4, 3), 2, videos=11))
    clips, _, weights = (np.concatenate([b[i].numpy() for b in filled]) for i in range(3))
    np.testing.assert_allclose(weights, [12 / 11] * 11 + [0], rtol=1e-6)
    assert np.mean(clips * weights) == pytest.approx(np.mean(range(11)))


def test_one_device_needs_no_weights():
    assert [len(batch) for batch in even_batches(batches(3, 2), 1)] == [2, 2]


def test_the_policy_holds_inside_only():
    before = keras.config.dtype_policy().name
    with pytest.raises(RuntimeError), dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == before


def test_a_batch_must_divide_among_the_devices(monkeypatch):
    cpus = [types.SimpleNamespace(name=f"/CPU:{i}") for i in range(2)]
    monkeypatch.setattr(keras, "__version__", "3.8.0")
    monkeypatch.setattr(tf.config, "list_logical_devices", {"GPU": [], "CPU": cpus}.__getitem__)
    with pytest.raises(ValueError, match=r"divisible by the 2 devices.*batch_size=5"):
        make_strategy("mirrored", 5)


def test_the_cpu_cannot_be_split_once_it_runs():
    tf.constant(1) + 1
    with pytest.raises(ValueError, match="logical_cpus=7 comes too late"):
        make_strategy("none", 8, logical_cpus=7)


def test_a_keras_that_adds_gradients_up_is_refused(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.7.0")
    with pytest.raises(ValueError, match=r"needs Keras 3\.8 or later: Keras 3\.7\.0"):
        make_strategy("mirrored", 8)
    make_strategy("none", 8)


@pytest.mark.parametrize(
    "capability, expected",
    [
        (None, {"auto": "float32", "mixed_bfloat16": "mixed_bfloat16", "mixed_float16": None}),
        ((6, 1), {"auto": "float32", "mixed_bfloat16": None, "mixed_float16": "mixed_float16"}),
        ((7, 5), {"auto": "mixed_float16", "mixed_bfloat16": None}),
        ((9, 0), {"auto": "mixed_bfloat16", "mixed_float16": "mixed_float16"}),
    ],
)
def test_precision_is_what_the_device_has(monkeypatch, capability, expected):
    """None stands for a refusal that names the way out; capability None for no GPU."""
    gpus = [] if capability is None else ["gpu"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": capability},
    )
    assert resolve_precision("float32") == "float32"
    for name, found in expected.items():
        if found is None:
            with pytest.raises(ValueError, match=f"precision='{name}' needs a GPU"):
                resolve_precision(name)
        else:
            assert resolve_precision(name) == found
