"""The registry and its cards: complete, in step with each other, in an installed package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_mtnet.models.configs import VARIANTS
from keras_mtnet.weights import registry
from keras_mtnet.weights.cards import card, card_name
from keras_mtnet.weights.checksum import sha256_of

ROOT = Path(__file__).parents[2]
ENTRIES = registry.entries()
IDS = [f"{entry.name}-{entry.model}" for entry in ENTRIES]


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_entry_is_complete(entry):
    assert entry.model in (*VARIANTS[entry.variant], "MTNet")
    assert entry.file.endswith(".weights.h5") and "/" not in entry.file
    for name in ("source", "code_licence", "weights_licence", "protocol", "measured_by", "labels"):
        assert getattr(entry, name), name
    published = registry.folder() / entry.file
    assert published.is_file() or entry.url or entry.checkpoint
    if published.is_file() or entry.url:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256) and entry.size_bytes
    if published.is_file():
        assert sha256_of(published) == entry.sha256
        assert published.stat().st_size == entry.size_bytes


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_card_says_what_the_registry_says(entry):
    path = registry.folder() / card_name(entry.file)
    assert path.read_text(encoding="utf-8") == card(entry), "python -m keras_mtnet.weights.cards"
    index = (registry.folder() / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in index.splitlines() if f"({path.name})" in line]
    for value in (entry.name, entry.top1, entry.top5, entry.classes):
        assert str(value) in row


def test_published_files_are_small():
    files = list(registry.folder().glob("*.h5"))
    assert {file.name for file in files} <= {entry.file for entry in ENTRIES}
    assert sum(file.stat().st_size for file in files) <= 25_000_000


def test_hacs():
    """Accuracies as the authors state them."""
    stated = {"MTNetS": (80.712, 95.182), "MTNetM": (83.447, 95.872), "MTNetL": (86.574, 96.658)}
    for model, accuracy in stated.items():
        entry = registry.find("hacs", model)
        assert (entry.top1, entry.top5) == accuracy
        assert (entry.variant, entry.classes) == ("released", 200)
        assert entry.url is None and "drive.google.com" in entry.checkpoint
    assert [registry.find("hacs", model).blocks for model in stated] == [12, 16, 33]


def test_what_does_not_exist():
    assert registry.is_name("hacs") and not registry.is_name("imagenet")
    assert not registry.is_name(Path("hacs"))
    with pytest.raises(ValueError, match=r"MTNetM of variant='released'.*variant='paper'"):
        registry.find("hacs", "MTNetM", "paper")
    with pytest.raises(ValueError, match="Received: model='MTNetXL'"):
        registry.find("hacs", "MTNetXL")
    with pytest.raises(ValueError, match=r"'hacs'.*12 blocks.*'paper' with 26 blocks"):
        registry.find_blocks("hacs", "paper", 26)


def test_installed_package_has_it(tmp_path, monkeypatch):
    """What `pip install` builds carries the whole folder, and reads its own."""
    pytest.importorskip("setuptools")
    build = [sys.executable, "setup.py", "-q", "build", "-b", tmp_path]
    subprocess.run([*build, "egg_info", "-e", tmp_path], cwd=ROOT, check=True, capture_output=True)
    built = tmp_path / "lib" / "keras_mtnet" / "weights"
    names = {path.name for path in (ROOT / "weights").iterdir()}
    assert {path.name for path in (built / "published").iterdir()} == names
    assert registry.folder() == ROOT / "weights"
    monkeypatch.setattr(registry, "__file__", str(built / "registry.py"))
    assert registry.folder() == built / "published"
    assert registry.entries.__wrapped__() == ENTRIES
