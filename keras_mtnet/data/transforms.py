"""Sizes, crops and flips of clips, the same for all frames of a clip; and normalisation.

What takes a tensor runs in a graph, on clips of sizes that are not known before: for pipelines of
one's own. `clips` itself cuts and resizes frames before they are RGB.
"""

import numpy as np
import tensorflow as tf

from keras_mtnet.data.arrays import empty_aligned
from keras_mtnet.data.clip_ops import to_pixels
from keras_mtnet.data.sampling import SCALE


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
    """uint8 RGB `(..., 3)` to float32, by NumPy."""

    def normalised(clips: np.ndarray) -> np.ndarray:
        found = empty_aligned(clips.shape, "float32")
        normalise_into(found, clips)
        return found

    return tf.ensure_shape(tf.numpy_function(normalised, [clips], tf.float32), clips.shape)


def normalise_into(out: np.ndarray, clips: np.ndarray) -> None:
    """The same of arrays of one shape, from uint8 `clips` to float32 `out`."""
    np.copyto(out, clips)  # networks normalize inside
