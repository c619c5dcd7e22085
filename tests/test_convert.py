"""Conversion from PyTorch checkpoints and back: narrow networks stand in for the authors'.

That the numbers are those of the authors' own network is tests/models/test_released.py's to show.
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.cli import main
from keras_mtnet.convert import convert_weights
from keras_mtnet.models import mtnet
from keras_mtnet.models.released_mtnet import TORCH_KEYS
from keras_mtnet.weights import load_weights
from keras_mtnet.weights.hub import sha256_of
from keras_mtnet.weights.torch import read_checkpoint, to_state_dict

pytestmark = pytest.mark.usefixtures("home")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")


@pytest.fixture
def checkpoint(tiny, network, tmp_path):
    """The weights of `network` as DataParallel names them."""
    path = tmp_path / "mtnet_s.safetensors"
    state = {f"module.{key}": value for key, value in to_state_dict(network, TORCH_KEYS).items()}
    safetensors.save_file(state, path)
    return path


def written(state, tmp_path, name="changed.safetensors"):
    safetensors.save_file(state, tmp_path / name)
    return tmp_path / name


def clip():
    return np.random.default_rng(5).integers(0, 256, (2, 6, 24, 24, 3)).astype("uint8")


def test_where_a_name_finds_it(checkpoint, tiny, network, home):
    path = convert_weights(checkpoint, "MTNetS", "tiny")
    assert path == home / tiny.file
    model = mt.MTNetS(weights="tiny")
    np.testing.assert_allclose(model(clip()), network(clip()), rtol=1e-5, atol=1e-6)
    assert model.output_shape == (None, 5) and model.clip_spec == tiny.clip_spec
    assert model.get_layer("normalization").channel_order == "bgr"
    assert isinstance(model.get_layer("stage1_block1"), type(network.get_layer("stage1_block1")))


def test_features_and_another_classifier(checkpoint, network, caplog):
    convert_weights(checkpoint, "MTNetS", "tiny")
    features = mt.MTNetS(weights="tiny", include_top=False, pooling="avg")
    assert "left out predictions, of shapes [(5,), (16, 5)]" in caplog.text
    assert features.clip_spec == mt.ClipSpec()  # it was not trained for any clips yet
    expected = network.get_layer("predictions")(features(clip()))
    np.testing.assert_allclose(expected, network(clip()), rtol=1e-5, atol=1e-6)
    other = mt.MTNetS(variant="released", classes=7)
    assert load_weights(other, "tiny") == ["predictions"]
    np.testing.assert_array_equal(
        other.get_layer("stem_conv").kernel, network.get_layer("stem_conv").kernel
    )


def test_its_checksum_is_beside_it(checkpoint, home):
    path = convert_weights(checkpoint, "MTNetS", "tiny")
    names = ["mtnet_s_tiny.weights.h5", "mtnet_s_tiny.weights.h5.sha256"]
    assert sorted(p.name for p in home.iterdir()) == names
    assert Path(f"{path}.sha256").read_text() == f"{sha256_of(path)}  {path.name}\n"


def test_changed_afterwards(checkpoint):
    path = convert_weights(checkpoint, "MTNetS", "tiny")
    before = sha256_of(path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match=f"{sha256_of(path)} and should be {before}"):
        mt.MTNetS(weights="tiny", classes=5)


def test_to_another_file(checkpoint, network, tmp_path, home):
    output = tmp_path / "new" / "mine.weights.h5"
    assert convert_weights(checkpoint, "MTNetS", "tiny", output) == output
    assert not home.exists()
    model = mt.MTNetS(variant="released", weights=output, classes=5)
    np.testing.assert_allclose(model(clip()), network(clip()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["back.safetensors", "back.pth"])
def test_back(checkpoint, network, tmp_path, name):
    if name.endswith(".pth"):
        pytest.importorskip("torch")
    convert_weights(checkpoint, "MTNetS", "tiny")
    back = convert_weights("tiny", "MTNetS", output=tmp_path / name)
    state, expected = read_checkpoint(back), to_state_dict(network, TORCH_KEYS)
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(state[key], value, err_msg=key)
        assert state[key].dtype == value.dtype


def test_float16_checkpoint(tiny, network, tmp_path):
    state = {
        key: value.astype("float16") for key, value in to_state_dict(network, TORCH_KEYS).items()
    }
    convert_weights(written(state, tmp_path), "MTNetS", "tiny")
    model = mt.MTNetS(weights="tiny", classes=5)
    kernel = network.get_layer("stem_conv").kernel.numpy().astype("float16").astype("float32")
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, kernel)


# --- What must be refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("stem.1.running_var"), r"missing: stem\.1\.running_var"),
        (lambda s: s.update(extra=np.zeros(2)), "not part of the network: extra"),
        (lambda s: s.update({"fc.bias": np.zeros(6)}), r"classifier of 6 classes"),
        (lambda s: s.update({"fc.bias": np.full(5, np.inf)}), "not finite"),
        (lambda s: [s.pop(k) for k in list(s) if "layer1.1" in k], r"missing: layer1\.1"),
        (lambda s: s.update({"fc.weight": np.zeros((7, 16))}), r"fc\.weight is \(7, 16\)"),
        (
            lambda s: s.update({"fc.weight": np.zeros((7, 16)), "fc.bias": np.zeros(7)}),
            r"7 classes, but weights='tiny' of MTNetS have 5",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit(tiny, network, tmp_path, home, change, message):
    state = to_state_dict(network, TORCH_KEYS)
    change(state)
    with pytest.raises(ValueError, match=message):
        convert_weights(written(state, tmp_path), "MTNetS", "tiny")
    assert not home.exists() or not list(home.iterdir())


def test_another_size_of_network(checkpoint, monkeypatch):
    monkeypatch.setitem(vars(mtnet.SIZES["MTNetM"]), "released_depths", (2, 3))
    with pytest.raises(ValueError, match=r"does not fit mtnet_m.*missing: layer2\.1"):
        convert_weights(checkpoint, "MTNetM", output="x.weights.h5")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"model": "MTNetXL"}, "no weights 'tiny' of MTNetXL"),
        ({"weights": "mnist"}, "MTNetS: 'hacs', 'tiny'"),
        ({"weights": None}, r"weights=.*'hacs', 'tiny' of MTNetS.*output="),
        ({"output": "x.h5"}, r"end in \.weights\.h5. Received: output='x\.h5'"),
        ({"variant": "paper", "output": "x.weights.h5"}, "No published PyTorch code of MTNetS"),
    ],
)
def test_wrong_arguments(checkpoint, arguments, message):
    with pytest.raises(ValueError, match=message):
        convert_weights(checkpoint, **{"model": "MTNetS", "weights": "tiny", **arguments})


def test_a_checkpoint_of_ones_own(tiny, network, tmp_path):
    """Its classifier tells the number of classes."""
    state = to_state_dict(network, TORCH_KEYS)
    state |= {"fc.weight": np.zeros((7, 16)), "fc.bias": np.zeros(7)}
    path = written(state, tmp_path)
    output = convert_weights(path, "MTNetS", output=tmp_path / "s7.weights.h5")
    model = mt.MTNetS(variant="released", weights=output, classes=7)
    assert model.output_shape == (None, 7)
    back = convert_weights(output, "MTNetS", output=tmp_path / "back.safetensors")
    assert read_checkpoint(back)["fc.bias"].shape == (7,)


@pytest.mark.parametrize("name", ["text.safetensors", "text.pth"])
def test_damaged(tiny, tmp_path, name):
    if name.endswith(".pth"):
        pytest.importorskip("torch")
    path = tmp_path / name
    path.write_text("no checkpoint")
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        convert_weights(path, "MTNetS", "tiny")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        convert_weights(tmp_path / f"nowhere{path.suffix}", "MTNetS", "tiny")


@pytest.mark.parametrize("old_format", [True, False])
def test_damage_inside(tiny, network, home, tmp_path, old_format):
    """PyTorch stumbles over each part of its files with another error; here it is one."""
    torch = pytest.importorskip("torch")
    state = {
        key: torch.from_numpy(value) for key, value in to_state_dict(network, TORCH_KEYS).items()
    }
    path = tmp_path / "net.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old_format)
    whole = path.read_bytes()
    storages = re.findall(rb"\d{12,}", whole) if old_format else []  # numbered by addresses
    for part in (b"storage", b"fc.bias", b"torch._utils", *storages[:1]):
        path.write_bytes(whole.replace(part, b"9" * len(part), 1))
        with pytest.raises(ValueError, match=r"damaged|missing: fc\.bias"):
            convert_weights(path, "MTNetS", "tiny")
    assert bool(storages) == old_format
    for keep in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            convert_weights(path, "MTNetS", "tiny")
    assert not home.exists()


def test_from_keras_needs_an_output(checkpoint):
    for output in (None, "x.weights.h5"):
        with pytest.raises(ValueError, match=r"ends in \.pth or \.safetensors"):
            convert_weights("tiny", "MTNetS", output=output)


def test_the_papers_network_has_no_pytorch_form(tiny, tmp_path):
    path = tmp_path / "paper.weights.h5"
    mt.MTNet((6,), (3,), ratio=0.5, classes=5).save_weights(path)
    with pytest.raises(ValueError, match=r"'mtnet' with.*mt_block.*'mtnet_s' has.*two_stream"):
        convert_weights(path, "MTNetS", output=tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


# --- Files of PyTorch itself ------------------------------------------------------------------


def test_beside_an_optimizer(tiny, network, tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        f"module.{k}": torch.from_numpy(v) for k, v in to_state_dict(network, TORCH_KEYS).items()
    }
    weights = [torch.nn.Parameter(v) for v in state.values() if v.is_floating_point()]
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    path = tmp_path / "mtnet_s_ep-0003.pth"
    content = {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict()}
    torch.save(content, path)
    convert_weights(path, "MTNetS", "tiny")
    model = mt.MTNetS(weights="tiny", classes=5)
    np.testing.assert_allclose(model(clip()), network(clip()), rtol=1e-5, atol=1e-6)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_bomb(tiny, tmp_path, monkeypatch, protocol):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pth"
    torch.save({"state_dict": Bomb()}, path, pickle_protocol=protocol)
    with pytest.raises(ValueError, match="nothing was executed"):
        convert_weights(path, "MTNetS", "tiny")
    assert not Path("exploded").exists()


def test_a_whole_module(tiny, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ValueError, match="holds more than tensors"):
        convert_weights(tmp_path / "module.pth", "MTNetS", "tiny")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_no_state_dict(tiny, tmp_path, content):
    torch = pytest.importorskip("torch")
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        convert_weights(tmp_path / "other.pth", "MTNetS", "tiny")


def test_old_torch(tiny, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.save({}, tmp_path / "any.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    with pytest.raises(ImportError, match=r"before 2\.6.*2\.5\.1.*keras-mtnet\[convert\]"):
        convert_weights(tmp_path / "any.pth", "MTNetS", "tiny")


@pytest.mark.parametrize(
    "name, package", [("x.pth", "torch"), ("x.safetensors", "safetensors.numpy")]
)
def test_missing_package(tiny, tmp_path, monkeypatch, name, package):
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "keras-mtnet\[convert\]"'):
        convert_weights(tmp_path / name, "MTNetS", "tiny")


# --- The command ------------------------------------------------------------------------------


def test_command(checkpoint, tiny, home, capfd):
    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            main(["convert-weights", *map(str, arguments)])
        return (exit.value.code, *capfd.readouterr())

    status, out, _ = run(checkpoint, "--model", "MTNetS", "--weights", "tiny")
    assert status == 0 and str(home / tiny.file) in out
    status, _, err = run(checkpoint, "--model", "MTNetS", "--weights", "hacs")
    assert status == 1 and "classifier of 5 classes" in err and err.count("\n") == 1
    assert run(checkpoint)[0] == 2


def test_info_shows_the_card(tiny, capfd):
    """Without the file, which need not be there to know."""
    with pytest.raises(SystemExit) as exit:
        main(["info", "MTNetS", "--input", "4x32x32", "--weights", "tiny"])
    out = capfd.readouterr().out
    assert exit.value.code == 0 and "{'variant': 'released'}" in out and tiny.checkpoint in out
