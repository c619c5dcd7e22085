"""A video that tells which frame is which."""

import pytest
from numbered_videos import X264, encode, numbered


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 numbered frames in H.264 with B-frames: decoded in another order than shown."""
    path = tmp_path_factory.mktemp("video") / "numbered.mp4"
    return encode(path, numbered(40), "libx264", **X264)
