"""What tests share: real clips where there are some, and a small drawn data set everywhere."""

import os
from pathlib import Path

import pytest

import keras_mtnet  # noqa: F401  before TensorFlow: see its __init__ on oneDNN

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips: `$KERAS_MTNET_TEST_DATA`, or `../shared/data` from the root."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KERAS_MTNET_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there (set KERAS_MTNET_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A drawn data set of 8 classes: 2 training groups, 1 test group, 2 clips each; read-only."""
    from keras_mtnet.data import draw_dataset

    root = tmp_path_factory.mktemp("drawn") / "videos"
    draw_dataset(str(root), groups=3, clips_per_group=2, frames=36, size=(64, 48), seed=0)
    return root
