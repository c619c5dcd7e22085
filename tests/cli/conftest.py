"""A run made by the command, which tests of the others use."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest
from command_line import TRAIN


@pytest.fixture(scope="module", autouse=True)
def begun() -> None:
    """TensorFlow writes to stderr at its first operation in a process."""
    keras.ops.ones(1)


@pytest.fixture(scope="session")
def trained(drawn, tmp_path_factory) -> Path:
    """A run made as a person makes it: by the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = [sys.executable, "-m", "keras_mtnet.cli", *TRAIN]
    done = subprocess.run(
        [*command, "--root", drawn, "--output", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "32 videos of 8 classes, validated on 16" in done.stdout
    assert f"keras-mtnet evaluate --run {folder}" in done.stdout
    assert done.stderr == ""  # no notes of TensorFlow, either
    return folder
