"""Operations on the pixels of a clip: the same for all frames, nothing random.

Each function takes a clip, uint8 RGB `(T, H, W, 3)` of any known or unknown sizes, and numbers or
scalar tensors, and returns a clip of the same type and shape. Statistics (a mean, a histogram) are
those of the whole clip, so that a frame does not flicker against its neighbors. Sums are sums of
whole numbers, which no number of threads can round in another way.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from keras_mtnet.clip_spec import MTNET_MEAN

# Where a moved frame leaves a border: the mean color, as gray. About 0 once normalized.
FILL = round(255 * sum(MTNET_MEAN) / 3)
_LUMA = np.array([[0.299], [0.587], [0.114]], "float32")  # ITU-R BT.601
Scalar: TypeAlias = float | tf.Tensor


def to_pixels(values: tf.Tensor) -> tf.Tensor:
    """Float values to uint8: rounded, and cut to 0 to 255."""
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0) + 0.5, tf.uint8)


def _float(clip: tf.Tensor) -> tf.Tensor:
    return tf.cast(clip, tf.float32)


def _per_pixel(function, clip: tf.Tensor) -> tf.Tensor:
    """Applies a function of float `(pixels, 3)` to all pixels."""
    changed = function(tf.reshape(_float(clip), [-1, 3]))
    return tf.ensure_shape(to_pixels(tf.reshape(changed, tf.shape(clip))), clip.shape)


def _blend(clip: tf.Tensor, value: Scalar, factor: Scalar) -> tf.Tensor:
    """Moves from one value (factor 0) to the clip (1) and past it."""
    return to_pixels(value + factor * (_float(clip) - value))


# --- Color ---------------------------------------------------------------------------------------


def brightness(clip: tf.Tensor, factor: Scalar) -> tf.Tensor:
    """Multiplies all values: 0 is black, 1 the clip."""
    return to_pixels(factor * _float(clip))


def contrast(clip: tf.Tensor, factor: Scalar) -> tf.Tensor:
    """Distance to the mean gray level of the clip: 0 is gray, 1 the clip."""
    totals = tf.reduce_sum(tf.cast(tf.reshape(clip, [-1, 3]), tf.int64), axis=0)
    pixels = tf.cast(tf.size(clip, out_type=tf.int64) // 3, tf.float32)
    mean = tf.matmul(tf.cast(totals, tf.float32)[None] / pixels, _LUMA)[0, 0]
    return _blend(clip, mean, factor)


def linear_contrast(clip: tf.Tensor, factor: Scalar) -> tf.Tensor:
    """Distance to the middle level, 128."""
    return _blend(clip, 128.0, factor)


def saturation(clip: tf.Tensor, factor: Scalar) -> tf.Tensor:
    """Distance to gray of the same luma: 0 is a gray clip, 1 the clip."""
    matrix = factor * tf.eye(3) + (1.0 - factor) * tf.tile(_LUMA, [1, 3])
    exact = tf.round(matrix * 4096) / 4096  # products and sums then fit float32 without rounding
    return _per_pixel(lambda pixels: tf.matmul(pixels, exact), clip)


def hue(clip: tf.Tensor, shift: Scalar) -> tf.Tensor:
    """Turns the color circle by a share of it, -0.5 to 0.5."""
    return to_pixels(255.0 * tf.image.adjust_hue(_float(clip) / 255.0, shift))


def add_hue_saturation(clip: tf.Tensor, hue_shift: Scalar, more: Scalar) -> tf.Tensor:
    """Adds to hue (a share of the circle) and saturation (0 to 1) of the HSV colors."""
    colors = tf.image.rgb_to_hsv(_float(clip) / 255.0)
    h, s, v = tf.unstack(colors, axis=-1)
    h, s = tf.math.floormod(h + hue_shift, 1.0), tf.clip_by_value(s + more, 0.0, 1.0)
    return to_pixels(255.0 * tf.image.hsv_to_rgb(tf.stack([h, s, v], axis=-1)))


def add(clip: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Adds `(3,)` to the channels, or what fits a frame to every frame."""
    return to_pixels(_float(clip) + values)


def posterize(clip: tf.Tensor, bits: int | tf.Tensor) -> tf.Tensor:
    """Keeps the upper bits of every value, 0 to 8 of them."""
    dropped = tf.cast(8 - bits, tf.int32)
    levels = tf.bitwise.left_shift(tf.constant(255), dropped)
    return tf.bitwise.bitwise_and(clip, tf.cast(tf.bitwise.bitwise_and(levels, 255), tf.uint8))


def solarize(clip: tf.Tensor, threshold: Scalar) -> tf.Tensor:
    """Inverts the values from a threshold on; 256 leaves all as they are."""
    return tf.where(_float(clip) >= threshold, 255 - clip, clip)


def auto_contrast(clip: tf.Tensor) -> tf.Tensor:
    """Stretches each channel of the clip from its lowest to its highest value to 0 to 255."""
    pixels = tf.reshape(clip, [-1, 3])
    low, high = (_float(f(pixels, axis=0)) for f in (tf.reduce_min, tf.reduce_max))
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    shift = tf.where(high > low, low, 0.0)
    return _per_pixel(lambda values: (values - shift) * scale, clip)


def equalize(clip: tf.Tensor) -> tf.Tensor:
    """Makes the histogram of each channel of the clip flat."""
    pixels = tf.cast(tf.reshape(clip, [-1, 3]), tf.int32)
    # One histogram of 3 x 256 bins, whole numbers throughout.
    places = pixels + tf.constant([0, 256, 512])
    counts = tf.math.bincount(tf.reshape(places, [-1]), minlength=768, dtype=tf.int32)
    counts = tf.reshape(counts, [3, 256])
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    in_last = tf.gather(counts, last, batch_dims=1)
    step = (tf.reduce_sum(counts, axis=1) - in_last)[:, None] // 255
    before = tf.cumsum(counts, axis=1, exclusive=True)
    flat = tf.minimum((before + step // 2) // tf.maximum(step, 1), 255)
    table = tf.cast(tf.where(step > 0, flat, tf.range(256)), tf.uint8)
    return tf.reshape(tf.gather(tf.reshape(table, [-1]), places), tf.shape(clip))


# --- Neighbors -----------------------------------------------------------------------------------


def _filter(clip: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Float means of neighbors in a frame by whole weights `(k, k)`, k odd; edges are mirrored."""
    weights = tf.cast(weights, tf.float32)
    size = weights.shape[0]
    edge = [size // 2] * 2
    padded = tf.pad(_float(clip), [[0, 0], edge, edge, [0, 0]], "SYMMETRIC")
    kernel = tf.tile(weights[:, :, None, None], [1, 1, 3, 1])
    sums = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
    return tf.ensure_shape(sums / tf.reduce_sum(weights), clip.shape)


def sharpness(clip: tf.Tensor, factor: Scalar) -> tf.Tensor:
    """Distance to a smoothed clip: 0 is smooth, 1 the clip, 2 sharper. Edge pixels stay."""
    smooth = tf.round(_filter(clip, tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]])))
    inner = tf.pad(tf.ones(tf.shape(clip)[1:3] - 2), [[1, 1], [1, 1]])[:, :, None] > 0
    return tf.where(inner, _blend(clip, smooth, factor), clip)


def gaussian_blur(clip: tf.Tensor, sigma: Scalar, radius: int = 1) -> tf.Tensor:
    """Weights neighbors up to `radius` pixels away by a Gaussian of `sigma` pixels."""
    distance = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (distance / sigma) ** 2)
    weights = weights[:, None] * weights[None]
    return to_pixels(_filter(clip, tf.round(2.0**15 * weights / tf.reduce_sum(weights))))


def motion_blur(clip: tf.Tensor, size: int | tf.Tensor, degrees: Scalar, largest: int) -> tf.Tensor:
    """The mean along a line of `size` pixels, odd and at most `largest`, in any direction."""
    steps = tf.range(-(largest // 2), largest // 2 + 1)
    angle = degrees * (np.pi / 180)
    along = tf.stack([-tf.sin(angle), tf.cos(angle)]) * tf.cast(steps, tf.float32)[:, None]
    places = tf.cast(tf.round(along), tf.int32) + largest // 2  # (largest, 2): row, column
    inside = tf.cast(tf.abs(steps) <= size // 2, tf.float32)
    return to_pixels(_filter(clip, tf.scatter_nd(places, inside, [largest, largest])))


# --- Geometry ------------------------------------------------------------------------------------


def warp(clip: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Moves pixels by a projective map, with linear interpolation.

    `matrix` `(3, 3)` maps x, y, 1 in the result to x, y, 1 in the clip, up to a factor; pixels are
    counted from the middle of the one at the upper left.
    """
    matrix = tf.cast(matrix, tf.float32)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=_float(clip),
        transforms=tf.reshape(matrix / matrix[2, 2], [1, 9])[:, :8],
        output_shape=tf.shape(clip)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=float(FILL),
    )
    return tf.ensure_shape(to_pixels(moved), clip.shape)


def _about_middle(clip: tf.Tensor, row: Sequence[Scalar], next_row: Sequence[Scalar]) -> tf.Tensor:
    """Warps by a map whose rows are given, with the origin in the middle of the frame."""
    middle = tf.cast(tf.shape(clip)[2:0:-1] - 1, tf.float32) / 2  # x, y
    map_ = tf.stack([*map(tf.stack, (row, next_row)), tf.constant([0.0, 0.0, 1.0])])
    there, back = (
        tf.tensor_scatter_nd_add(tf.eye(3), [[0, 2], [1, 2]], s) for s in (-middle, middle)
    )
    return warp(clip, back @ map_ @ there)


def rotate(clip: tf.Tensor, degrees: Scalar) -> tf.Tensor:
    """Turns anticlockwise about the middle."""
    angle = degrees * (np.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _about_middle(clip, [cos, -sin, 0.0], [sin, cos, 0.0])


def shear(clip: tf.Tensor, x: Scalar = 0.0, y: Scalar = 0.0) -> tf.Tensor:
    """Slants: pixel (i, j) from the middle shows what was at (i + x j, j + y i)."""
    return _about_middle(clip, [1.0, x, 0.0], [y, 1.0, 0.0])


def translate(clip: tf.Tensor, x: Scalar = 0.0, y: Scalar = 0.0) -> tf.Tensor:
    """Moves the picture to the right and down, by shares of width and height."""
    height, width = tf.unstack(_float(tf.shape(clip)[1:3]))
    return _about_middle(clip, [1.0, 0.0, -x * width], [0.0, 1.0, -y * height])


def perspective(clip: tf.Tensor, corners: tf.Tensor) -> tf.Tensor:
    """Stretches a quadrangle of the clip to the whole frame.

    `corners` `(4, 2)` are x and y of its upper left, upper right, lower right and lower left
    corner, as shares of the frame, 0 to 1.
    """
    size = tf.cast(tf.shape(clip)[2:0:-1] - 1, tf.float64)
    target = tf.constant([[0, 0], [1, 0], [1, 1], [0, 1]], tf.float64)
    source = tf.cast(corners, tf.float64)
    # Eight equations for the eight unknowns of the map, in shares of the frame.
    ones, zeros = tf.ones([4, 1], tf.float64), tf.zeros([4, 3], tf.float64)
    place = tf.concat([target, ones], axis=1)
    x, y = source[:, :1], source[:, 1:]
    equations = tf.concat(
        [
            tf.concat([place, zeros, -x * target], axis=1),
            tf.concat([zeros, place, -y * target], axis=1),
        ],
        axis=0,
    )
    solution = tf.linalg.solve(equations, tf.concat([x, y], axis=0))[:, 0]
    shares = tf.reshape(tf.concat([solution, [1.0]], axis=0), [3, 3])
    to_frame = tf.linalg.diag(tf.concat([size, [1.0]], axis=0))
    return warp(clip, to_frame @ shares @ tf.linalg.inv(to_frame))


def fill_box(clip: tf.Tensor, box: Sequence[int | tf.Tensor], frame: tf.Tensor) -> tf.Tensor:
    """Puts a part (top, left, height, width) of a picture, uint8 `(H, W, 3)`, over all frames."""
    return tf.where(box_mask(tf.shape(clip)[1:3], box), frame, clip)


def box_mask(shape: tf.Tensor, box: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """bool `(H, W, 1)`, true inside top, left, height, width. `box` may be four tensors `(N,)`,
    which make `(N, H, W, 1)`."""
    top, left, height, width = (tf.convert_to_tensor(each)[..., None] for each in box)
    y, x = tf.range(shape[0]), tf.range(shape[1])
    down = (y >= top) & (y < top + height)
    right = (x >= left) & (x < left + width)
    return (down[..., :, None] & right[..., None, :])[..., None]
