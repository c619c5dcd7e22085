"""Views of a video as `ClipReader.views` cuts them, in a TensorFlow graph.

Every function gives what its namesake in `data.sampling` or `data.geometry` gives, of tensors.
"""

from typing import Any

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.geometry import SCALE


def clip_frames(count: Any, spec: ClipSpec, num_clips: int) -> Any:
    """Numbers of the frames of each test clip, int64 `(num_clips, T)`; `count` is a scalar."""
    import tensorflow as tf

    count, steps = tf.cast(count, tf.int64), tf.range(spec.frames, dtype=tf.int64)
    if spec.sampling == "uniform":  # segment_frames
        shares = (tf.range(num_clips, dtype=tf.float64)[:, None] + 0.5) / num_clips
        last = -(-(steps + 1) * count // spec.frames) - 1
        places = (tf.cast(steps, tf.float64) + shares) * tf.cast(count, tf.float64) / spec.frames
        return tf.minimum(tf.cast(places, tf.int64), last)
    reach = (spec.frames - 1) * spec.stride  # uniform_windows
    starts = tf.where(count > reach, count - reach, count)
    if num_clips > 1:
        step = tf.cast(starts - 1, tf.float64) / (num_clips - 1)
        first = tf.cast(tf.round(tf.range(num_clips, dtype=tf.float64) * step), tf.int64)
    else:
        first = tf.where(starts == count, tf.zeros_like(count), (starts - 1) // 2)[None]
    return (first[:, None] + steps * spec.stride) % count


def crops(frames: Any, size: int, num_crops: int) -> Any:
    """Resized test crops of frames uint8 `(T, H, W, 3)`: uint8 `(num_crops, T, size, size, 3)`.

    As FFmpeg's, the resizing is bilinear, over as many pixels as become one where it shrinks.
    """
    import tensorflow as tf

    height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    short = tf.cast(tf.minimum(height, width), tf.float64)
    side = tf.maximum(1, _rounded(short / SCALE))  # crop_side
    down, right = height - side, width - side
    pictures = []
    for number in range(num_crops):  # uniform_squares
        share = tf.constant(number / max(1, num_crops - 1), tf.float64)
        top, left = (
            tf.where(longer & (num_crops > 1), _rounded(share * tf.cast(n, tf.float64)), n // 2)
            for n, longer in ((down, height > width), (right, height <= width))
        )
        box = frames[:, top : top + side, left : left + side]
        pictures.append(tf.image.resize(box, (size, size), antialias=True))
    return tf.cast(tf.clip_by_value(tf.round(tf.stack(pictures)), 0, 255), tf.uint8)


def _rounded(x: Any) -> Any:
    """To the nearest integer, halves to the even one, as Python rounds."""
    import tensorflow as tf

    return tf.cast(tf.round(x), tf.int32)
