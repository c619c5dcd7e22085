"""Operations on clips, against PIL, colorsys and NumPy; one for all frames of a clip.

A clip on top of each other is one tall picture: what PIL does to it is what belongs to the clip.
"""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from keras_mtnet.data import clip_ops

SHAPE = (3, 14, 17, 3)


def picture(seed=0, shape=SHAPE):
    """Smooth colors with noise, not using the whole range: a histogram worth changing."""
    rng = np.random.default_rng(seed)
    t, y, x, c = np.meshgrid(*map(np.arange, shape), indexing="ij")
    values = 110 + 50 * np.sin(x / 3 + c) + 30 * np.cos(y / 4 + t) + rng.normal(0, 8, shape)
    return values.clip(20, 230).astype("uint8")


def run(function, clip, *arguments, **options):
    """As in a pipeline: in a graph, with sizes that are not known."""
    spec = tf.TensorSpec((None, None, None, 3), tf.uint8)
    graph = tf.function(lambda x: function(x, *arguments, **options), [spec])
    found = graph(clip)
    assert found.dtype == tf.uint8 and found.shape == clip.shape
    return found.numpy()


def as_one(function, clip):
    """Applies a function of PIL pictures to all frames together."""
    tall = Image.fromarray(clip.reshape(-1, *clip.shape[2:]))
    return np.asarray(function(tall)).reshape(clip.shape)


def each(function, clip):
    return np.stack([np.asarray(function(Image.fromarray(frame))) for frame in clip])


def assert_close(found, expected, most=1):
    """Equal but for what rounding may change."""
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= most, difference.max()


# --- Color ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.0, 0.1, 0.7, 1.0, 1.4, 1.9])
@pytest.mark.parametrize(
    "function, enhance",
    [
        (clip_ops.brightness, ImageEnhance.Brightness),
        (clip_ops.contrast, ImageEnhance.Contrast),
        (clip_ops.saturation, ImageEnhance.Color),
        (clip_ops.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_those_of_pil(function, enhance, factor):
    clip = picture()
    apply = each if enhance is ImageEnhance.Sharpness else as_one
    # PIL cuts fractions off where this rounds, and rounds gray and mean first.
    assert_close(run(function, clip, factor), apply(lambda p: enhance(p).enhance(factor), clip))
    if factor == 1:
        np.testing.assert_array_equal(run(function, clip, factor), clip)


@pytest.mark.parametrize("bits", range(9))
def test_posterize(bits):
    clip = picture()
    expected = as_one(lambda p: ImageOps.posterize(p, bits), clip) if bits else clip * 0
    np.testing.assert_array_equal(run(clip_ops.posterize, clip, bits), expected)


@pytest.mark.parametrize("threshold", [0, 100, 128, 256])
def test_solarize(threshold):
    clip = picture()
    expected = as_one(lambda p: ImageOps.solarize(p, threshold), clip)
    np.testing.assert_array_equal(run(clip_ops.solarize, clip, threshold), expected)


@pytest.mark.parametrize("seed", range(3))
def test_auto_contrast(seed):
    clip = picture(seed)
    found = run(clip_ops.auto_contrast, clip)
    assert_close(found, as_one(ImageOps.autocontrast, clip))
    assert found.min() == 0 and found.max() == 255


@pytest.mark.parametrize("seed", range(3))
def test_equalize(seed):
    clip = picture(seed, (3, 40, 30, 3))
    np.testing.assert_array_equal(run(clip_ops.equalize, clip), as_one(ImageOps.equalize, clip))


@pytest.mark.parametrize("function", [clip_ops.auto_contrast, clip_ops.equalize])
def test_a_clip_of_one_color_stays_as_it_is(function):
    clip = np.full(SHAPE, (0, 90, 255), "uint8")
    np.testing.assert_array_equal(run(function, clip), clip)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.25])
def test_hue(shift):
    clip = picture()

    def turn(rgb):
        h, s, v = colorsys.rgb_to_hsv(*rgb / 255)
        return colorsys.hsv_to_rgb((h + shift) % 1, s, v)

    expected = np.apply_along_axis(turn, -1, clip) * 255
    assert np.abs(run(clip_ops.hue, clip, shift) - expected).max() < 0.51


@pytest.mark.parametrize("shift, more", [(0.06, -0.06), (-0.3, 0.5), (0.0, -1.0)])
def test_hue_and_saturation(shift, more):
    clip = picture()

    def change(rgb):
        h, s, v = colorsys.rgb_to_hsv(*rgb / 255)
        return colorsys.hsv_to_rgb((h + shift) % 1, np.clip(s + more, 0, 1), v)

    expected = np.apply_along_axis(change, -1, clip) * 255
    assert np.abs(run(clip_ops.add_hue_saturation, clip, shift, more) - expected).max() < 0.51


def test_addition_and_linear_contrast_stay_in_range():
    clip = picture()
    values = np.array([300.0, -300.0, 4.4], "float32")
    found = run(clip_ops.add, clip, values)
    np.testing.assert_array_equal(found, np.clip(np.round(clip + values), 0, 255))
    found = run(clip_ops.linear_contrast, clip, 3.0)
    np.testing.assert_array_equal(found, np.clip(128 + 3 * (clip.astype(int) - 128), 0, 255))


# --- Neighbors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma, radius", [(0.3, 1), (0.8, 3), (1.5, 5)])
def test_gaussian_blur(sigma, radius):
    clip = picture()
    distance = np.arange(-radius, radius + 1)
    weights = np.exp(-(distance**2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = clip.astype(float)
    for axis in (1, 2):
        edge = [(radius, radius) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(expected, edge, "symmetric")
        expected = sum(
            w * np.take(padded, range(i, i + clip.shape[axis]), axis) for i, w in enumerate(weights)
        )
    found = run(clip_ops.gaussian_blur, clip, sigma, radius=radius)
    assert np.abs(found - expected).max() < 0.6


@pytest.mark.parametrize(
    "degrees, line", [(0, [(0, 1)]), (90, [(-1, 0)]), (45, [(-1, 1)]), (135, [(-1, -1)])]
)
@pytest.mark.parametrize("size", [3, 5, 7])
def test_motion_blur_is_the_mean_along_a_line(size, degrees, line):
    clip = picture()
    (down, right) = line[0]
    steps = range(-(size // 2), size // 2 + 1)
    if degrees in (45, 135):  # a step of 1 along a diagonal is 0.71 down and 0.71 right
        steps = [round(step * 0.70710678) for step in steps]
    padded = np.pad(clip.astype(float), [(0, 0), (3, 3), (3, 3), (0, 0)], "symmetric")
    moved = [padded[:, 3 + s * down :, 3 + s * right :][:, : SHAPE[1], : SHAPE[2]] for s in steps]
    found = run(clip_ops.motion_blur, clip, size, float(degrees), largest=7)
    assert np.abs(found - np.mean(moved, 0)).max() < 0.51


def test_smoothing_is_that_of_pil_inside_and_leaves_the_edge():
    clip = picture()
    found = run(clip_ops.sharpness, clip, 0.0)
    assert_close(found, each(lambda p: p.filter(ImageFilter.SMOOTH), clip))
    np.testing.assert_array_equal(found[:, 0], clip[:, 0])
    np.testing.assert_array_equal(found[:, :, -1], clip[:, :, -1])


# --- Geometry ------------------------------------------------------------------------------------


def affine(clip, a, b, c, d, e, f):
    """PIL's map from x, y of the result to the clip, counted from pixel corners."""
    return each(
        lambda p: p.transform(p.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.BILINEAR),
        clip,
    )


def middle(clip):
    return clip.shape[2] / 2, clip.shape[1] / 2  # x, y of the middle, from pixel corners


def assert_moves_like(function, clip, expected, **options):
    """Compares what stems from inside the clip; what stems from outside must be filled."""
    found = run(function, clip, **options)
    black, white = (run(function, np.full_like(clip, value), **options) for value in (0, 255))
    inside = (black == 0) & (white == 255)
    outside = (black == clip_ops.FILL) & (white == clip_ops.FILL)
    assert inside.mean() > 0.3 and (inside | outside).mean() > 0.8
    assert_close(found[inside], expected[inside])
    assert (found[outside] == clip_ops.FILL).all()
    return found


@pytest.mark.parametrize("degrees", [-30.0, -7.0, 0.0, 90.0, 10.0])
def test_rotate_is_that_of_pil(degrees):
    clip = picture(shape=(2, 31, 31, 3))
    expected = each(lambda p: p.rotate(degrees, Image.BILINEAR), clip)
    found = assert_moves_like(clip_ops.rotate, clip, expected, degrees=degrees)
    if degrees in (0.0, 90.0):
        np.testing.assert_array_equal(found, np.rot90(clip, round(degrees / 90), axes=(1, 2)))


@pytest.mark.parametrize("x, y", [(0.3, 0.0), (-0.27, 0.0), (0.0, 0.2), (0.0, -0.3)])
def test_shear(x, y):
    clip = picture(shape=(2, 25, 31, 3))
    cx, cy = middle(clip)
    expected = affine(clip, 1, x, -x * cy, y, 1, -y * cx)
    assert_moves_like(clip_ops.shear, clip, expected, x=x, y=y)


@pytest.mark.parametrize("x, y", [(0.25, 0.0), (-0.4, 0.0), (0.0, 0.31), (0.0, -0.45)])
def test_translate(x, y):
    clip = picture(shape=(2, 20, 40, 3))
    expected = affine(clip, 1, 0, -x * 40, 0, 1, -y * 20)
    found = assert_moves_like(clip_ops.translate, clip, expected, x=x, y=y)
    if x == 0.25:
        np.testing.assert_array_equal(found[:, :, 10:], clip[:, :, :-10])
        assert (found[:, :, :10] == clip_ops.FILL).all()


def test_perspective_puts_the_corners_where_they_belong():
    clip = picture(shape=(2, 41, 61, 3))
    corners = np.array([[0.05, 0.1], [0.9, 0.0], [1.0, 0.95], [0.1, 0.85]], "float32")
    found = run(clip_ops.perspective, clip, corners)
    for (y, x), (u, v) in zip([(0, 0), (0, 60), (40, 60), (40, 0)], corners, strict=True):
        expected = bilinear(clip, v * 40, u * 60)
        assert np.abs(found[:, y, x] - expected).max() < 1
    # A straight line stays straight: the middle is where the diagonals of the quadrangle cross.
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = corners.astype(float)
    share = np.linalg.solve([[x3 - x1, x2 - x4], [y3 - y1, y2 - y4]], [x2 - x1, y2 - y1])[0]
    u, v = x1 + share * (x3 - x1), y1 + share * (y3 - y1)
    assert np.abs(found[:, 20, 30] - bilinear(clip, v * 40, u * 60)).max() < 1


def bilinear(clip, y, x):
    top, left = int(y), int(x)
    down, right = min(top + 1, clip.shape[1] - 1), min(left + 1, clip.shape[2] - 1)
    dy, dx = y - top, x - left
    upper = clip[:, top, left] * (1 - dx) + clip[:, top, right] * dx
    return upper * (1 - dy) + (clip[:, down, left] * (1 - dx) + clip[:, down, right] * dx) * dy


def test_boxes():
    clip = picture()
    frame = picture(5)[0]
    found = run(clip_ops.fill_box, clip, (2, 3, 4, 5), frame)
    expected = clip.copy()
    expected[:, 2:6, 3:8] = frame[2:6, 3:8]
    np.testing.assert_array_equal(found, expected)


# --- All of them ---------------------------------------------------------------------------------

EVERYTHING = {
    "brightness": (clip_ops.brightness, (1.3,)),
    "contrast": (clip_ops.contrast, (1.7,)),
    "linear contrast": (clip_ops.linear_contrast, (1.7,)),
    "saturation": (clip_ops.saturation, (1.7,)),
    "hue": (clip_ops.hue, (0.2,)),
    "hue and saturation": (clip_ops.add_hue_saturation, (0.2, 0.1)),
    "posterize": (clip_ops.posterize, (3,)),
    "solarize": (clip_ops.solarize, (100.0,)),
    "auto contrast": (clip_ops.auto_contrast, ()),
    "equalize": (clip_ops.equalize, ()),
    "sharpness": (clip_ops.sharpness, (1.9,)),
    "blur": (clip_ops.gaussian_blur, (0.5,)),
    "motion blur": (clip_ops.motion_blur, (5, 30.0, 7)),
    "rotate": (clip_ops.rotate, (20.0,)),
    "shear": (clip_ops.shear, (0.2,)),
    "translate": (clip_ops.translate, (0.2,)),
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_all_frames_are_treated_alike(name):
    """Equal frames stay equal, and the order of frames makes no difference to any of them."""
    function, arguments = EVERYTHING[name]
    still = np.repeat(picture(shape=(1, 20, 24, 3)), 4, axis=0)
    found = run(function, still, *arguments)
    assert (found == found[:1]).all() and (found != still).any()
    moving = picture(shape=(4, 20, 24, 3))
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(
        run(function, moving, *arguments)[order], run(function, moving[order], *arguments)
    )
