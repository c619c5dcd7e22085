"""Sizes, crops and flips of clips, the same for all frames of a clip; and normalisation."""

import numpy as np
import tensorflow as tf

from keras_mtnet.models.preprocessing import MEAN, STD

# A frame's short side over the crop's: 320 for 256. Tests use the training scale too, so that
# things have the size the network has learnt; a test crop sees 0.8 of the shorter side.
SCALE = 1.25


def short_side(size: int) -> int:
    """Short side in pixels to which frames are resized before a `size` x `size` crop."""
    return round(SCALE * size)


def crop(frames: np.ndarray, box: tuple[int, int], size: int, flip: bool = False) -> np.ndarray:
    """Cuts the same square out of all frames.

    Args:
        frames: `(T, H, W, C)`.
        box: top and left edge of the square.
        size: its side.
        flip: mirror it left to right.

    Returns:
        Contiguous `(T, size, size, C)`.
    """
    top, left = box
    square = frames[:, top : top + size, left : left + size]
    return np.ascontiguousarray(square[:, :, ::-1] if flip else square)


def normalise(clips: tf.Tensor) -> tf.Tensor:
    """uint8 RGB `(..., width, 3)` to the float32 values the networks are trained on."""
    shape = tf.shape(clips)
    width = shape[-2]
    scale = tf.tile(tf.constant([1 / (255 * s) for s in STD], tf.float32), [width])
    shift = tf.tile(tf.constant([m / s for m, s in zip(MEAN, STD, strict=True)]), [width])
    # Row by row: broadcasting along an axis of 3 takes more than twice as long.
    rows = tf.cast(tf.reshape(clips, [-1, width * 3]), tf.float32) * scale - shift
    return tf.ensure_shape(tf.reshape(rows, shape), clips.shape)
