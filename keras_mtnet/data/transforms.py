"""Sizes, crops and flips of clips, the same for all frames of a clip; and normalisation.

What takes a tensor runs in a graph, on clips of sizes that are not known before: for pipelines of
one's own. `clips` itself cuts and resizes frames before they are RGB.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from keras_mtnet.data.arrays import empty_aligned
from keras_mtnet.data.clip_ops import to_pixels
from keras_mtnet.data.sampling import SCALE
from keras_mtnet.models.preprocessing import MEAN, STD


def short_side(size: int) -> int:
    """Short side in pixels to which frames are resized before a `size` x `size` crop."""
    return round(SCALE * size)


def resize_short_side(clip: tf.Tensor, short_side: int) -> tf.Tensor:
    """Resizes uint8 `(T, H, W, C)` to a length of its shorter side in pixels.

    Linear interpolation, over as many pixels as become one.
    """
    size = tf.cast(tf.shape(clip)[1:3], tf.float64)
    longer = tf.round(size * (short_side / tf.reduce_min(size)))
    resized = tf.image.resize(
        clip, tf.maximum(tf.cast(longer, tf.int32), short_side), antialias=True
    )
    return to_pixels(resized)


def uniform_crops(clip: tf.Tensor, size: int, crops: int = 3) -> tf.Tensor:
    """Squares spread along the longer side of `(T, H, W, C)` from end to end; 1 is the centre.

    Returns:
        `(crops, T, size, size, C)`.
    """
    space = tf.shape(clip)[1:3] - size  # down, right
    middle = space // 2
    along = tf.cast(space[0] <= space[1], tf.int32)  # the axis to spread them on
    squares = []
    for number in range(crops):
        share = number / (crops - 1) if crops > 1 else 0.5
        place = tf.cast(tf.round(share * tf.cast(space[along], tf.float64)), tf.int32)
        box = middle if crops == 1 else tf.tensor_scatter_nd_update(middle, [[along]], [place])
        squares.append(clip[:, box[0] : box[0] + size, box[1] : box[1] + size])
    return tf.ensure_shape(tf.stack(squares), [crops, clip.shape[0], size, size, clip.shape[3]])


def normalise(clips: tf.Tensor) -> tf.Tensor:
    """uint8 RGB `(..., 3)` to the float32 values the networks are trained on, by NumPy."""

    def normalised(clips: np.ndarray) -> np.ndarray:
        found = empty_aligned(clips.shape, "float32")
        normalise_into(found, clips)
        return found

    return tf.ensure_shape(tf.numpy_function(normalised, [clips], tf.float32), clips.shape)


def normalise_into(out: np.ndarray, clips: np.ndarray) -> None:
    """The same of arrays of one shape, from uint8 `clips` to float32 `out`."""
    values = math.prod(clips.shape[-3:])
    scale, shift = _factors(values)
    frames = zip(clips.reshape(-1, values), out.reshape(-1, values), strict=True)
    for frame, normalised in frames:  # one after the other, so that they stay in the cache
        normalised[:] = frame
        np.multiply(normalised, scale, out=normalised)
        np.subtract(normalised, shift, out=normalised)


@functools.lru_cache(4)
def _factors(values: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and shifts of all values of a frame; three numbers are too few for a loop."""
    scale = np.asarray([1 / (255 * s) for s in STD], "float32")
    shift = np.asarray([m / s for m, s in zip(MEAN, STD, strict=True)], "float32")
    return np.resize(scale, values), np.resize(shift, values)
