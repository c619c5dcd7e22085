"""The same weights and clips give the same results on every Keras backend that is installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("run_on_backend.py")
OTHERS = ("jax", "torch")


def installed(backend):
    return importlib.util.find_spec(backend) is not None


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Starts one process a backend, together, and reads what each of them wrote."""
    folder = tmp_path_factory.mktemp("backends")
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time would go into compiling
    }
    processes = {
        backend: subprocess.Popen(
            [sys.executable, SCRIPT, folder / f"{backend}.npz"],
            env={**environment, "KERAS_BACKEND": backend},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in ("tensorflow", *filter(installed, OTHERS))
    }
    arrays = {}
    for backend, process in processes.items():
        _, errors = process.communicate()
        assert process.returncode == 0, f"{backend}:\n{errors[-4000:]}"
        with np.load(folder / f"{backend}.npz") as stored:
            arrays[backend] = dict(stored)
    return arrays


@pytest.mark.parametrize("backend", OTHERS)
def test_equals_tensorflow(results, backend):
    """Without TensorFlow in the other process: importing it fails there."""
    if not installed(backend):
        pytest.skip(f"{backend} is not installed")
    assert len(results["tensorflow"]) >= 16
    assert results[backend].keys() == results["tensorflow"].keys()
    for name, expected in results["tensorflow"].items():
        assert np.isfinite(expected).all() and np.std(expected) > 1e-3, name
        largest = np.abs(expected).max()
        np.testing.assert_allclose(
            results[backend][name], expected, rtol=0, atol=1e-4 * largest, err_msg=name
        )


IMPORTS = """
import sys
import keras
before = "tensorflow" in sys.modules
import keras_mtnet, keras_mtnet.layers, keras_mtnet.models
keras_mtnet.MTNetS, keras_mtnet.preprocess_input, keras_mtnet.count_costs
sys.exit(("tensorflow" in sys.modules) != before)
"""


def test_imports_no_tensorflow():
    backend = next(filter(installed, OTHERS), None)
    if backend is None:
        pytest.skip("neither jax nor torch is installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", IMPORTS], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
