import itertools

import numpy as np
import pytest

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data import geometry, sampling
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.export.video_views import clip_frames, crops


def graph_views(frames, spec, num_clips, num_crops) -> np.ndarray:
    numbers = clip_frames(len(frames), spec, num_clips).numpy()
    views = [crops(frames[clip], spec.size, num_crops).numpy() for clip in numbers]
    return np.concatenate(views)


def test_frames_are_those_of_the_reader():
    for count, stride, num_clips in itertools.product((1, 2, 7, 16, 31, 90), (1, 3), (1, 2, 10)):
        spec = ClipSpec(8, stride, 16)
        expected = sampling.uniform_windows(count, 8, stride, num_clips)
        np.testing.assert_array_equal(clip_frames(count, spec, num_clips), expected)
        shares = (np.arange(num_clips) + 0.5) / num_clips
        expected = [sampling.segment_frames(count, 8, share) for share in shares]
        uniform = ClipSpec(8, size=16, sampling="uniform")
        np.testing.assert_array_equal(clip_frames(count, uniform, num_clips), expected)


@pytest.mark.parametrize("height, width", [(20, 31), (37, 20), (20, 20), (21, 22)])
@pytest.mark.parametrize("num_crops", [1, 3, 4])
def test_crops_are_those_of_the_reader(height, width, num_crops):
    """Pixels encode their place, and boxes of the size of the clip are not resized."""
    frames = np.zeros((5, height, width, 3), "uint8")
    frames[..., 0], frames[..., 1] = np.arange(height)[:, None], np.arange(width)
    frames[..., 2] = np.arange(5)[:, None, None]
    size = geometry.crop_side(height, width)
    found = crops(frames, size, num_crops).numpy()
    boxes = geometry.uniform_squares(height, width, num_crops)
    expected = [frames[:, top : top + side, left : left + side] for top, left, side, _ in boxes]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [24, 56])
def test_views_are_resized_as_by_ffmpeg(size):
    """Shrunk and enlarged, gray: colors FFmpeg keeps at half the width."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (12, 12, 16, 1), "uint8").repeat(5, 1).repeat(5, 2).repeat(3, 3)
    spec = ClipSpec(4, 2, size)
    found = graph_views(frames, spec, 2, 3).astype(int)
    expected = ClipReader(spec).views(frames, 2, 3)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 1
    assert np.abs(found - expected).max() <= 4
