import itertools

import numpy as np
import pytest
from numbered_videos import encode, numbered, numbers

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import sampling
from keras_mtnet.data.windows import Sliding
from keras_mtnet.video import VideoError, open_video

CASES = [
    # frames of the video, of a clip, stride, step
    *((60, 4, 3, 12), (61, 4, 3, 12), (59, 4, 3, 5), (50, 8, 1, 1), (50, 3, 2, 20), (50, 3, 2, 49)),
    *((10, 4, 3, 12), (9, 4, 3, 2), (4, 4, 3, 2), (7, 8, 2, 3)),
]


def of_frames(sliding, frames, rate=25):
    return sliding.of_frames(iter(frames), rate, "frames")


@pytest.mark.parametrize("count, frames, stride, step", CASES)
def test_windows_are_those_of_dense_windows(count, frames, stride, step):
    """Of videos and of frames whose number nobody knows, with pixels that tell frame and place."""
    video = np.zeros((count, 100, 160, 3), "uint8")
    video[..., 0] = np.arange(count)[:, None, None]
    video[..., 1] = np.arange(160)
    sliding = Sliding(ClipSpec(frames, stride, 80), step, num_crops=3)
    expected = sampling.dense_windows(count, frames, stride, step)
    for found in (sliding.of_video(open_video(video)), of_frames(sliding, video)):
        found = list(found)
        assert [window.start for window in found] == expected[:, 0].tolist()
        for window, numbers_ in zip(found, expected, strict=True):
            assert window.clips.shape == (3, frames, 80, 80, 3)
            assert (window.clips[:, :, 0, 0, 0] == numbers_).all()
            assert window.clips[:, 0, 0, 0, 1].tolist() == [0, 40, 80]


def test_of_a_file(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(60), "mpeg4")
    sliding = Sliding(ClipSpec(4, 3, 64), 7)
    video = open_video(path)
    found = [window.start for window in sliding.of_video(video)]
    assert found == sampling.dense_windows(60, 4, 3, 7)[:, 0].tolist()
    whole = list(video.stream(boxes=[(0, 0, 64, 96)], frames=np.array([3, 17, 59])))
    assert numbers(np.concatenate(whole)) == [3, 17, 59]
    np.testing.assert_allclose(video.times([0, 5, 59]), [0, 0.2, 59 / 25])


def test_another_rate():
    """The frames nearest in time, as for videos."""
    video = np.zeros((40, 100, 100, 3), "uint8")
    video[..., 0] = np.arange(40)[:, None, None]
    for rate, fps in ((25, 10), (25, 12.5), (25, 50), (30, 7)):
        spec = ClipSpec(3, 1, 80, fps=fps)
        found = [w.clips[0, :, 0, 0, 0].tolist() for w in of_frames(Sliding(spec, 1), video, rate)]
        numbers_ = np.arange(len(found) + 2)
        nearest = np.ceil(numbers_ * rate / fps - 0.5 - 1e-9).astype(int)
        assert found == [nearest[i : i + 3].tolist() for i in range(len(found))]
        assert nearest[-1] >= 38 - rate / fps


def test_few_frames_are_in_memory():
    """A stream that never ends, of frames that are counted while they live."""

    class Frame(np.ndarray):
        alive = 0

        def __del__(self):
            Frame.alive -= 1

    def frames():
        for _ in itertools.count():
            Frame.alive += 1
            yield np.zeros((100, 100, 3), "uint8").view(Frame)

    windows = Sliding(ClipSpec(4, 2, 80), 4).of_frames(frames(), 25, "frames")
    for _ in itertools.islice(windows, 50):
        assert Frame.alive <= 10


def test_bad_videos():
    sliding = Sliding(ClipSpec(4, 3, 80), 12)
    short = np.zeros((3, 100, 100, 3), "uint8")
    for windows in (sliding.of_video(open_video(short)), of_frames(sliding, short)):
        with pytest.raises(VideoError, match="3 frames; from one frame of a clip to the next"):
            list(windows)
    with pytest.raises(VideoError, match="frames: 0 frames"):
        list(of_frames(sliding, []))
    for wrong in (np.zeros((9, 9)), np.zeros((9, 9, 3)), "text"):
        with pytest.raises(ValueError, match=r"frames must be RGB, uint8 \(H, W, 3\)"):
            list(of_frames(sliding, [wrong]))
