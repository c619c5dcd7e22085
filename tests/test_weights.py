"""Loading weights: the same classes, others, none, and files that do not fit."""

import logging

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.weights import load_weights

NARROW = {
    "stage_filters": (6,),
    "stage_depths": (2,),
    "stem_filters": 4,
    "head_filters": 12,
    "head_units": 16,
    "ratio": 0.5,
}


def narrow(**options):
    return mt.MTNet(**{**NARROW, "classes": 5, **options})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network of 5 classes and the file of its weights."""
    model = narrow()
    path = tmp_path_factory.mktemp("weights") / "five.weights.h5"
    model.save_weights(path)
    return model, str(path)


def by_path(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def assert_same(ours, theirs, without=()):
    for path, value in ours.items():
        if not path.startswith(without):
            np.testing.assert_array_equal(value, theirs[path], err_msg=path)


def test_same_classes(saved, caplog):
    model, path = saved
    fresh = narrow()
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert load_weights(fresh, path) == []
    assert not caplog.records
    assert_same(by_path(fresh), by_path(model))


def test_by_the_constructor(saved):
    model, path = saved
    assert_same(by_path(narrow(weights=path)), by_path(model))


def test_another_number_of_classes(saved, caplog):
    model, path = saved
    fresh = narrow(classes=3)
    head = fresh.get_layer("predictions").get_weights()
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert load_weights(fresh, path) == ["predictions"]
    (record,) = caplog.records
    message = record.getMessage()
    assert "5 classes: left out predictions/kernel (16, 5), predictions/bias (5,)" in message
    assert "for 3 classes" in message
    assert_same(by_path(fresh), by_path(model), without="predictions")
    for now, before in zip(fresh.get_layer("predictions").get_weights(), head, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("pooling", [None, "avg"])
def test_without_the_top(saved, pooling, caplog):
    model, path = saved
    features = narrow(include_top=False, pooling=pooling)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert load_weights(features, path) == ["head_fc", "predictions"]
    (record,) = caplog.records
    for tensor in (
        "head_fc/kernel (12, 16)",
        "predictions/kernel (16, 5)",
        "predictions/bias (5,)",
    ):
        assert tensor in record.getMessage()
    assert_same(by_path(features), by_path(model))


def test_the_top_is_missing_in_the_file(tmp_path):
    path = str(tmp_path / "features.weights.h5")
    narrow(include_top=False).save_weights(path)
    with pytest.raises(ValueError, match=r"features\.weights\.h5"):
        load_weights(narrow(), path)


def test_known_sizes_do_not_matter(saved):
    _, path = saved
    assert load_weights(narrow(input_shape=(4, 8, 8, 3)), path) == []


@pytest.mark.parametrize(
    "options",
    [
        {"stage_filters": (8,)},
        {"stage_depths": (3,)},  # more blocks than the file has
        {"stage_depths": (1,)},
        {"stage_depths": (1,), "classes": 3},
        {"stage_filters": (6, 6), "stage_depths": (1, 1)},  # as many
        {"ratio": 0.75},
        {"ratio": 1},
        {"cell": "rnn"},
        {"cell": "lstm"},
        {"head_units": 8},
        {"head_units": 8, "classes": 3},
        {"stem_filters": 6},
    ],
    ids=str,
)
def test_another_network(saved, options):
    _, path = saved
    model = narrow(**options)
    with pytest.raises(ValueError, match=r"five\.weights\.h5"):
        load_weights(model, path)


def test_another_network_without_the_top(saved):
    _, path = saved
    with pytest.raises(ValueError, match=r"five\.weights\.h5"):
        load_weights(narrow(include_top=False, ratio=0.75), path)


def test_peepholes_are_not_dropped(tmp_path):
    path = str(tmp_path / "peephole.weights.h5")
    narrow(cell="peephole_lstm").save_weights(path)
    with pytest.raises(ValueError, match=r"peephole\.weights\.h5"):
        load_weights(narrow(cell="lstm"), path)


def test_weights_of_another_kind_of_model(tmp_path):
    path = str(tmp_path / "dense.weights.h5")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(ValueError, match=r"dense\.weights\.h5"):
        load_weights(narrow(), path)


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_damaged_file(saved, tmp_path, keep):
    _, path = saved
    with open(path, "rb") as file:
        content = file.read()
    damaged = tmp_path / "damaged.weights.h5"
    damaged.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match=r"damaged\.weights\.h5"):
        load_weights(narrow(), damaged)


def test_a_text_file(tmp_path):
    path = tmp_path / "text.weights.h5"
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"text\.weights\.h5"):
        load_weights(narrow(), path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.weights\.h5"):
        load_weights(narrow(), tmp_path / "nowhere.weights.h5")
    with pytest.raises(FileNotFoundError):
        load_weights(narrow(), tmp_path)


def test_a_wrong_name(tmp_path):
    path = tmp_path / "model.h5"
    path.write_text("whatever")
    with pytest.raises(ValueError, match=r"\.weights\.h5.*model\.h5"):
        load_weights(narrow(), path)
