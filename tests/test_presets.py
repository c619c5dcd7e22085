"""The table of presets: complete, in step with what is written of it, in an installed package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_mtnet as mt
from keras_mtnet import presets
from keras_mtnet.models.builder import BUILDERS
from keras_mtnet.presets import preset as preset_module
from keras_mtnet.weights import hub

ROOT = Path(__file__).parents[1]
ROWS = mt.list_presets()
IDS = [f"{row.weights}-{row.model}" for row in ROWS]


@pytest.mark.parametrize("preset", ROWS, ids=IDS)
def test_preset_is_complete(preset):
    assert preset.model in BUILDERS
    assert preset.file.endswith(".weights.h5") and "/" not in preset.file
    for name in ("source", "code_license", "weights_license", "protocol", "measured_by"):
        assert getattr(preset, name), name
    published = hub.published_folder() / preset.file
    assert published.is_file() or preset.url or preset.checkpoint
    if published.is_file() or preset.url:
        assert re.fullmatch("[0-9a-f]{64}", preset.sha256) and preset.size_bytes
    if published.is_file():
        assert hub.sha256_of(published) == preset.sha256
        assert published.stat().st_size == preset.size_bytes
    if preset.labels:
        names = preset.clip_spec.class_names
        assert len(names) == len(set(names)) == preset.classes
        assert all(name and name == name.strip() for name in names)


@pytest.mark.parametrize("preset", ROWS, ids=IDS)
def test_the_index_says_what_the_table_says(preset):
    index = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    rows = [line for line in index.splitlines() if line.startswith(f"| `{preset.model}`")]
    (row,) = [line for line in rows if f'`"{preset.weights}"`' in line]
    for value in (preset.dataset, preset.top1, preset.top5, preset.classes):
        assert value is None or str(value) in row


def test_published_files_are_small():
    files = list((ROOT / "weights").glob("*.h5"))
    assert {file.name for file in files} <= {preset.file for preset in ROWS}
    assert sum(file.stat().st_size for file in files) <= 25_000_000


def test_hacs():
    """Accuracies as the authors state them."""
    stated = {"MTNetS": (80.712, 95.182), "MTNetM": (83.447, 95.872), "MTNetL": (86.574, 96.658)}
    for model, accuracy in stated.items():
        preset = presets.find(model, "hacs")
        assert (preset.top1, preset.top5) == accuracy
        assert (preset.options, preset.classes) == ({"variant": "released"}, 200)
        assert not preset.url and "drive.google.com" in preset.checkpoint
        assert preset.normalization.channel_order == "bgr"
        assert (preset.clip_spec.frames, preset.clip_spec.stride) == (16, 2)


def test_table_and_card():
    lines = repr(mt.list_presets("MTNetM")).splitlines()
    assert lines[0].split()[:3] == ["model", "weights", "dataset"]
    assert "16x256x256, stride 2" in lines[1] and "83.447" in lines[1]
    card = presets.find("MTNetM", "hacs").card()
    assert "drive.google.com" in card and "MIT" in card and "sha256" not in card


def test_what_does_not_exist(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"'hacs2' of MTNetM.*MTNetM: 'hacs'"):
        presets.find("MTNetM", "hacs2")
    with pytest.raises(ValueError, match=r"MTNetXL: none.*'hacs': MTNetS, MTNetM, MTNetL"):
        presets.lookup("MTNetXL", "hacs")
    assert presets.lookup("MTNetM", "imagenet") is None
    assert presets.lookup("MTNetM", "./hacs") is presets.lookup("MTNetM", Path("hacs")) is None
    assert presets.lookup("MTNetM", None) is None


def test_labels(monkeypatch, tmp_path):
    """Class names come with the preset, and leave with the classifier."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "two.txt").write_text("run\njump up\n")
    monkeypatch.setattr(preset_module, "__file__", str(tmp_path / "presets" / "preset.py"))
    assert presets.read_labels("two.txt") == ("run", "jump up")


def test_installed_package_has_the_weights(tmp_path, monkeypatch):
    """What `pip install` builds carries the whole folder, and reads its own."""
    pytest.importorskip("setuptools", "77")  # older ones cannot read our metadata
    build = [sys.executable, "setup.py", "-q", "build", "-b", tmp_path]
    subprocess.run([*build, "egg_info", "-e", tmp_path], cwd=ROOT, check=True, capture_output=True)
    built = tmp_path / "lib" / "keras_mtnet" / "weights"
    names = {path.name for path in (ROOT / "weights").iterdir()}
    assert {path.name for path in (built / "published").iterdir()} == names
    assert hub.published_folder() == ROOT / "weights"
    monkeypatch.setattr(hub, "__file__", str(built / "hub.py"))
    assert hub.published_folder() == built / "published"
