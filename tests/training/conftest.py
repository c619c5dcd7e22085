"""A run that several files of tests look at."""

from pathlib import Path

import pytest
from small_runs import TINY, class_folders

from keras_mtnet.training import Recipe, train


@pytest.fixture(scope="session")
def run(drawn, tmp_path_factory) -> Path:
    """A finished run of two epochs with an unreadable training video."""
    folder = tmp_path_factory.mktemp("run")
    root = Path(class_folders(drawn, folder / "videos", ["Fall", "Rise", "Spin"]))
    (root / "Rise" / "broken.mp4").write_text("not a video")
    recipe = Recipe(
        root=str(root), output=str(folder / "run"), batch_size=4, epochs=2, ratio=1, **TINY
    )
    return train(recipe)
