"""Lists of videos: all drawn ones, and some of which three cannot be read."""

import shutil

import pytest

from keras_mtnet.data import read_split, read_videos


@pytest.fixture(scope="module")
def videos(drawn):
    return read_split("folder", str(drawn))  # 8 classes, 32 videos of about 36 frames, 64 x 48


@pytest.fixture
def broken(drawn, tmp_path):
    """Eight videos, of which one is text, one is empty and one is gone."""
    names = [v.name for v in read_split("folder", str(drawn))][:8]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(drawn / name, tmp_path / name)
    videos = read_videos([str(tmp_path / name) for name in names])
    (tmp_path / names[1]).write_text("not a video")
    (tmp_path / names[2]).write_bytes(b"")
    (tmp_path / names[5]).unlink()
    return videos
