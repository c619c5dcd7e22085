"""The drawn test videos."""

import pytest

from keras_mtnet.data import Video, Videos, read_split


@pytest.fixture(scope="module")
def tests(drawn) -> Videos:
    return read_split("folder", str(drawn), subset="test")


@pytest.fixture(scope="module")
def videos(tests, tmp_path_factory) -> Videos:
    """16 drawn test videos, a text file among them, two names that are not on disk."""
    broken = tmp_path_factory.mktemp("broken") / "broken.mp4"
    broken.write_text("not a video")
    listed = [*tests[:5], Video(str(broken), 3, "Rise/broken.mp4"), *tests[5:]]
    return Videos(listed, tests.class_names, ("Fall/gone.avi", "Spin/gone.avi"), "ucf101")
