"""Cut, mirrored and resized frames, against NumPy and Pillow on whole RGB frames."""

import av
import numpy as np
import pytest
from PIL import Image

from keras_mtnet.video.rgb import Converter, fit_short_side

FORMATS = (
    *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12"),
    *("gray", "gray10le", "rgb24", "bgra", "gbrp", "yuva420p"),
)


def smooth(height=60, width=80):
    """A frame that differs in every corner and has no edges for rounding to differ at."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / width, 255 * y / height
    blue = 127 + 120 * np.sin(x / 25) * np.cos(y / 20)
    return np.stack([red, green, blue], -1).astype("uint8")


def frame_of(rgb, pix_fmt):
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)


def resized(rgb, height, width):
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("flip", [False, True])
def test_cuts_are_those_of_whole_frames(pix_fmt, flip):
    frame = frame_of(smooth(), pix_fmt)
    whole = Converter()(frame)
    assert whole.shape == (60, 80, 3)
    boxes = [(0, 0, 40, 40), (20, 40, 40, 40), (6, 10, 30, 50)]
    found = Converter((24, 32), boxes, flip)(frame)
    assert found.shape == (3, 24, 32, 3) and found.dtype == np.uint8
    for part, (top, left, height, width) in zip(found, boxes, strict=True):
        box = whole[top : top + height, left : left + width]
        expected = resized(box[:, ::-1] if flip else box, 24, 32)
        assert np.abs(part.astype(int) - expected).mean() < 4  # colors blur a little
        # Mirrored or shifted by two pixels it would be far off.
        assert np.abs(part.astype(int) - expected[:, ::-1]).mean() > 20


def test_boxes_are_told_the_size_of_the_frames():
    sizes = []

    def boxes(height, width):
        sizes.append((height, width))
        return [(0, 0, height, width)]

    convert = Converter((10, 10), boxes)
    for _ in range(3):
        convert(frame_of(smooth(), "yuv420p"))
    convert(frame_of(smooth(48, 50), "yuv420p"))
    assert sizes == [(60, 80), (48, 50)]  # once for each size


def test_edges_of_colored_samples_move_by_at_most_a_pixel():
    frame = frame_of(smooth(), "yuv420p")
    odd, even = (Converter((20, 20), [box])(frame) for box in ((7, 11, 20, 20), (6, 10, 20, 20)))
    np.testing.assert_array_equal(odd, even)


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [(60, 80), (37, 91), (30, 40), (90, 120)])
def test_whole_frames_are_resized(pix_fmt, size):
    frame = frame_of(smooth(), pix_fmt)
    expected = resized(Converter()(frame), *size)
    found = Converter(size)(frame)
    assert found.shape == (*size, 3)
    assert np.abs(found.astype(int) - expected).mean() < 4


def test_the_first_frame_decides_on_the_size():
    convert = Converter(30)
    assert convert(frame_of(smooth(), "yuv420p")).shape == (30, 40, 3)
    assert convert(frame_of(smooth(96, 96), "yuv420p")).shape == (30, 40, 3)
    assert Converter()(frame_of(smooth(), "gray")).shape == (60, 80, 3)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((240, 320), (100, 133)),
        ((320, 240), (133, 100)),
        ((7, 7), (100, 100)),
        ((3, 999), (100, 33300)),
    ],
)
def test_fit_short_side(size, expected):
    assert fit_short_side(*size, 100) == expected


@pytest.mark.parametrize("size", [0, (0, 8)])
def test_sizes_that_cannot_be(size):
    with pytest.raises(ValueError, match=r"size must be at least 1\. Received: size="):
        Converter(size)
