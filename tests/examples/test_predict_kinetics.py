"""The example recognizes DeepMind's clip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "predict_kinetics.py"


def test_deepminds_clip(i3d_checkpoint, real_data, tmp_path):
    pytest.importorskip("matplotlib")
    video = real_data / "i3d" / "v_CricketShot_g04_c01_rgb.gif"
    command = [sys.executable, str(EXAMPLE), str(video), "--frames", "16", "--clips", "1"]
    command += ["--weights", i3d_checkpoint, "--output", str(tmp_path / "p.png")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and lines[0].endswith("%  playing cricket")
    assert float(lines[0].partition("%")[0]) > 90
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
