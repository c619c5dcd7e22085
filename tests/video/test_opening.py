"""What is taken for a video, and what is refused."""

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from numbered_videos import encode, numbered, numbers
from PIL import Image

from keras_mtnet.video import (
    ArrayVideo,
    FrameFolder,
    VideoError,
    VideoFile,
    count_frames,
    open_video,
    read_frames,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("video") / "a.mp4", numbered(20), "libx264", crf="5")


def test_every_kind_of_source(path, tmp_path):
    data, frames = Path(path).read_bytes(), numbered(20)
    sources = [path, Path(path), data, bytearray(data), memoryview(data)]
    sources += [frames, list(frames), tuple(frames), deque(frames)]
    sources.append([Image.fromarray(frame) for frame in frames])
    for source in sources:
        with open_video(source) as video:
            assert video.frame_count == count_frames(source) == 20
            assert numbers(video.read([19, 3])) == [19, 3]
            assert video.damage is None
    assert open_video(video) is video
    assert isinstance(open_video(tmp_path), FrameFolder)
    assert isinstance(open_video(path), VideoFile)
    assert isinstance(open_video(frames), ArrayVideo)
    assert (open_video(path).name, open_video(path, "given").name) == (path, "given")
    assert open_video(frames).name == "<20 frames>"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v.mp4", "rtsp://cam/1", "s3://b/v.mp4"])
def test_addresses_are_refused_as_such(address):
    with pytest.raises(VideoError, match=f"{address}: an address; download the file"):
        open_video(address)


def test_cameras_and_other_things_are_refused():
    for number in (0, -1, np.int64(0)):
        with pytest.raises(ValueError, match=r"Received: .*, a camera: pass its frames"):
            open_video(number)
    assert open_video(iter(numbered(2))).frame_count == 2
    for other in (None, {1}, object()):
        with pytest.raises(ValueError, match=r"or RGB frames\. Received: "):
            open_video(other)
    for name in ("", "zero\0byte.mp4", "long" * 999, "data:video/mp4;base64,AAAA"):
        with pytest.raises(VideoError, match="no such file"):
            count_frames(name)


@pytest.mark.parametrize(
    "frames, received",
    [
        ([], "no frame"),
        (np.zeros((4, 8, 8, 3)), r"float64 \(8, 8, 3\)"),
        (np.zeros((4, 8, 8), "uint8"), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 3), "uint8"), r"uint8 \(8, 3\)"),
        (np.zeros((4, 8, 8, 4), "uint8"), r"uint8 \(8, 8, 4\)"),
    ],
)
def test_arrays_that_are_no_frames(frames, received):
    with pytest.raises(ValueError, match=f"^frames must .*Received: .*{received}"):
        open_video(frames)


def test_arrays_are_read_as_they_are():
    frames = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), "uint8")
    np.testing.assert_array_equal(read_frames(frames, [4, 0]), frames[[4, 0]])
    mirrored = open_video(frames[:, ::-1]).read([2], flip=True)  # of any strides
    np.testing.assert_array_equal(mirrored[0], frames[2, ::-1, ::-1])
    boxes = open_video(frames).read([1], [(2, 4, 10, 20), (8, 0, 10, 20)])
    np.testing.assert_array_equal(boxes[0, 1], frames[1, 8:18, :20])
    sizes = open_video([frames[0], frames[1, :20]]).read([0, 1], size=(16, 24))
    assert sizes.shape == (2, 16, 24, 3)


def test_arrays_at_a_rate():
    frames = numbered(40)
    unknown = open_video(frames, fps=5)
    assert (unknown.fps, unknown.frame_count) == (5, 40)  # taken to be at that rate already
    assert open_video(frames).fps is None
    known = ArrayVideo(frames, rate=20, fps=5, start=0.5)
    assert known.frame_count == 8 and numbers(known.read([0, 7])) == [10, 38]


def test_neither_tensorflow_nor_keras_is_needed():
    script = "import sys; from keras_mtnet.video import *; open_video; check_videos\n"
    script += "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
