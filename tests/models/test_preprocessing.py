"""preprocess_input and decode_predictions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", [(3,), (4, 5, 6, 3), (2, 4, 5, 6, 3)])
def test_clips_stay_as_they_are(shape, dtype):
    """Networks normalize inside; a tensor in a pipeline passes as well."""
    x = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    assert mt.preprocess_input(x) is x
    piped = next(iter(tf.data.Dataset.from_tensors(x).map(mt.preprocess_input)))
    np.testing.assert_array_equal(piped, x)


def test_refuses_channels_first():
    with pytest.raises(ValueError, match="channels_first"):
        mt.preprocess_input(np.zeros((3, 8, 8)), data_format="channels_first")
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        mt.preprocess_input(keras.ops.zeros((3, 8, 8)))


SCORES = np.array([[0.1, 0.6, 0.3], [0.25, 0.25, 0.5]], "float32")


def test_decode_names():
    best = mt.decode_predictions(SCORES, top=2, class_names=["run", "jump", "wave"])
    assert [[name for name, _ in row] for row in best] == [["jump", "wave"], ["wave", "run"]]
    assert best[0][0][1] == pytest.approx(0.6) and type(best[0][0][1]) is float


def test_decode_without_names_and_beyond_all_classes():
    best = mt.decode_predictions(tf.constant(SCORES), top=5)
    assert [name for name, _ in best[0]] == ["1", "2", "0"]
    assert [name for name, _ in best[1]] == ["2", "0", "1"]  # equal scores in label order


@pytest.mark.parametrize(
    "scores, names, message",
    [(SCORES[0], None, r"\(3,\)"), (SCORES, ["run", "jump"], "3 classes.*2 names")],
)
def test_decode_refuses(scores, names, message):
    with pytest.raises(ValueError, match=message):
        mt.decode_predictions(scores, class_names=names)
