"""The example trains, resumes, tests and saves, on real clips in UCF-101's layout."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "finetune_ucf101.py"
# The example with one narrow block in the place of MTNet-M.
NARROW = """
import runpy, sys
import keras_mtnet as mt
mt.MTNetM = lambda **options: mt.MTNet((8,), (1,), ratio=1, **options)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", NARROW, EXAMPLE, *arguments]
    return subprocess.run([str(each) for each in command], capture_output=True, text=True)


def test_help():
    done = run("--help")
    assert "--root: folder with one folder per class" in done.stdout
    assert "The paper reports top-1" in done.stdout


def test_weizmann(real_data, tmp_path):
    root, output = real_data / "weizmann", tmp_path / "out"
    if not root.is_dir():
        pytest.skip(f"no real clips: {root} is not there")
    settings = ["--root", root, "--output", output, "--frames", 4, "--size", 32]
    settings += ["--batch_size", 10, "--precision", "mixed_bfloat16"]
    done = run(*settings, "--epochs", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "20 of 20 videos scored" in done.stdout
    # The same command with more epochs continues.
    done = run(*settings, "--epochs", 2)
    assert done.returncode == 0, done.stderr[-3000:]
    epochs = [line.split(",")[0] for line in (output / "history.csv").read_text().splitlines()]
    assert epochs == ["epoch", "0", "1"]

    import keras_mtnet as mt

    spec = mt.load_model(output / "model.keras").clip_spec
    assert (spec.frames, spec.stride, spec.size, len(spec.class_names)) == (4, 4, 32, 10)
