"""Loading weights: the same classes, others, none, and files that do not fit."""

import logging
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import find
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
    first, second = (record.getMessage() for record in caplog.records)
    assert path in first and "left out predictions, of shapes [(5,), (16, 5)]" in first
    assert "head of mtnet is re-initialized" in second
    assert_same(by_path(fresh), by_path(model), without="predictions")
    for now, before in zip(fresh.get_layer("predictions").get_weights(), head, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("pooling", [None, "avg"])
def test_without_the_top(saved, pooling, caplog):
    model, path = saved
    features = narrow(include_top=False, pooling=pooling)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert load_weights(features, path) == ["head_fc", "predictions"]
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "head_fc, of shapes [(12, 16)]" in text
    assert "predictions, of shapes [(5,), (16, 5)]" in text and "re-initialized" not in text
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


@pytest.mark.parametrize("part", [b"HEAP", b"TREE", b"SNOD", b"\x89HDF"])
def test_damage_inside(saved, tmp_path, part):
    """HDF5 stumbles over each of its structures with another error; here it is one."""
    _, path = saved
    damaged = tmp_path / "damaged.weights.h5"
    damaged.write_bytes(Path(path).read_bytes().replace(part, b"XXXX"))
    fresh = narrow()
    before = fresh.get_weights()
    with pytest.raises(ValueError, match=r"damaged\.weights\.h5 is damaged"):
        load_weights(fresh, damaged)
    for now, then in zip(fresh.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


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


# --- Other forms than a .weights.h5 file --------------------------------------------------------


def test_a_keras_file(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "five.keras")
    fresh = narrow()
    assert load_weights(fresh, tmp_path / "five.keras") == []
    assert_same(by_path(fresh), by_path(model))
    assert load_weights(narrow(classes=3), str(tmp_path / "five.keras")) == ["predictions"]


def test_a_run_folder(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "model.keras")
    assert_same(by_path(narrow(weights=str(tmp_path))), by_path(model))


def test_a_compiled_keras_file(tmp_path):
    """The optimizer's state in the file is not taken for layers."""
    model = narrow()
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "compiled.keras")
    fresh = narrow()
    assert load_weights(fresh, tmp_path / "compiled.keras") == []
    assert_same(by_path(fresh), by_path(model))


@pytest.mark.parametrize("content", [b"", b"not a zip", "empty zip", "other zip"])
def test_a_damaged_keras_file(tmp_path, content):
    path = tmp_path / "damaged.keras"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            if content == "other zip":
                archive.writestr("model.weights.h5", "not weights")
    with pytest.raises(ValueError, match=r"damaged\.keras is damaged"):
        load_weights(narrow(), path)


def test_nothing_of_a_keras_file_is_executed(saved, tmp_path):
    """Its configuration may name code: it is read as text."""
    _, path = saved
    with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
        archive.write(path, "model.weights.h5")
        archive.writestr("config.json", '{"module": "os", "class_name": "mkdir", "config": "x"}')
        archive.writestr("../escaped", "x")
    assert load_weights(narrow(), tmp_path / "odd.keras") == []
    assert not (tmp_path.parent / "escaped").exists() and not Path("x").exists()


def test_the_clip_spec_comes_along(saved, tmp_path):
    """With the whole network only, and only where nothing is known yet."""
    model = narrow()
    model.clip_spec = ClipSpec(frames=8, stride=3, class_names=list("abcde"))
    model.save(tmp_path / "five.keras")
    assert narrow(weights=tmp_path / "five.keras").clip_spec == model.clip_spec
    assert narrow(weights=tmp_path / "five.keras", classes=3).clip_spec == ClipSpec()
    known = narrow()
    known.clip_spec = ClipSpec(stride=2)
    load_weights(known, tmp_path / "five.keras")
    assert known.clip_spec == ClipSpec(stride=2)


def test_another_normalization(tmp_path):
    """Silently wrong otherwise: the numbers fit, the colors do not."""
    released = mt.MTNet((8,), (1,), classes=5, variant="released")
    clips = released.get_layer("normalization")
    clips.channel_order = "rgb"
    released.save(tmp_path / "rgb.keras")
    with pytest.raises(ValueError, match=r"'rgb'\).*'bgr'\)"):
        mt.MTNet((8,), (1,), classes=5, variant="released", weights=tmp_path / "rgb.keras")


def test_float16_storage(saved, tmp_path):
    """Files may hold half precision: half the size, loaded as float32."""
    model, path = saved
    half = tmp_path / "half.weights.h5"
    with h5py.File(path) as source, h5py.File(half, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                target.create_dataset(name, data=item[()].astype("float16"))
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
    fresh = narrow()
    assert load_weights(fresh, half) == []
    expected = {
        key: value.astype("float16").astype("float32") for key, value in by_path(model).items()
    }
    assert_same(by_path(fresh), expected)
    assert {w.dtype for w in fresh.weights} <= {"float32", "uint32"}


# --- Files that reach outside themselves ------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["external link", "soft link", "external data", "virtual", "huge", "deep", "ring"]
)
def test_a_file_that_is_not_contained(tmp_path, kind):
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file["x"] = np.ones(3)
    path = tmp_path / "trap.weights.h5"
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        if kind == "external link":
            layers["mt_block"] = h5py.ExternalLink(str(elsewhere), "/x")
        elif kind == "soft link":
            layers["mt_block"] = h5py.SoftLink("/layers")
        elif kind == "external data":
            layers.create_dataset("x", (3,), "float32", external=[(str(elsewhere), 0, 12)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((3,), "float64")
            layout[:] = h5py.VirtualSource(str(elsewhere), "x", (3,))
            layers.create_virtual_dataset("x", layout)
        elif kind == "huge":
            layers.create_dataset("x", (1 << 30,), "float32", chunks=(1 << 20,))
        elif kind == "ring":  # two ways at each level: 2^32 groups to look at
            layers["a"] = layers["b"] = layers
        else:
            for _ in range(100):
                layers = layers.create_group("g")
    with pytest.raises(
        ValueError, match=r"trap\.weights\.h5 is damaged, or no file of Keras weights: "
    ):
        load_weights(narrow(), path)


# --- Variants and names -----------------------------------------------------------------------


def test_another_variant(saved, tmp_path):
    """Each is refused by the other, naming both."""
    _, path = saved
    released = mt.MTNet((8,), (2,), classes=5, variant="released", name="other")
    with pytest.raises(ValueError, match=r"'mtnet' with .*2 mt_block.*'other' has .*2 two"):
        load_weights(released, path)
    other = tmp_path / "released.weights.h5"
    released.save_weights(other)
    with pytest.raises(ValueError, match=r"'other' with .*'mtnet' has .*2 mt_block"):
        load_weights(narrow(), other)


def test_the_first_difference_is_named(saved):
    _, path = saved
    with pytest.raises(
        ValueError, match=r"mt_block_2 is missing in the file and 'stage1_block3' of"
    ):
        load_weights(narrow(stage_depths=(3,)), path)
    with pytest.raises(ValueError, match=r"'stage1_block2' of .* missing in the model"):
        load_weights(narrow(stage_depths=(1,)), path)


def test_layers_in_another_order(saved, tmp_path):
    """Keras would fill them by their order, whatever their names."""
    inputs = keras.Input((2,))
    for names in (("a", "b"), ("b", "a")):
        x = inputs
        for name in names:
            x = keras.layers.Dense(2, name=name)(x)
        model = VideoModel(inputs, x)
        path = tmp_path / "ab.weights.h5"
        if names == ("a", "b"):
            model.save_weights(path)
    with pytest.raises(ValueError, match="dense is 'a' in the file and 'b' in the model"):
        load_weights(model, path)


def test_a_name_with_other_classes(tiny):
    """Refused before anything is built or looked for, naming both."""
    with pytest.raises(ValueError, match=r"5 classes \(fives\). Received: classes=7") as raised:
        mt.MTNetS(weights="tiny", classes=7)
    assert "MTNetS(variant='released', classes=7)" in str(raised.value)  # what to do instead


def test_a_name_with_another_variant(tiny):
    with pytest.raises(ValueError, match=r"variant='released'.*Received: variant='paper'"):
        mt.MTNetS(weights="tiny", variant="paper")


def test_a_name_and_the_name_of_the_model(tiny, network, home):
    home.mkdir()
    network.save_weights(home / tiny.file)
    for weights in ("tiny", find("MTNetS", "tiny")):
        assert load_weights(network, weights) == []
    with pytest.raises(ValueError, match=r"'mtnet', tells none.*find\('MTNetS', 'tiny'\)"):
        load_weights(narrow(), "tiny")


def test_an_unknown_name():
    with pytest.raises(FileNotFoundError, match=r"'imagenet' is not a file.*'hacs'.*hf://"):
        mt.MTNetS(weights="imagenet")


def test_hacs_without_its_file(home):
    """The error says how to get it."""
    with pytest.raises(FileNotFoundError) as raised:
        mt.MTNetS(weights="hacs", input_shape=(4, 32, 32, 3))
    for part in ("drive.google.com", "convert-weights CHECKPOINT --model MTNetS --weights hacs"):
        assert part in str(raised.value)
    assert not Path(home).exists()
