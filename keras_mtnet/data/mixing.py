"""MixUp and CutMix: clips of a batch mixed in pairs, and their labels with them.

Labels become soft: float32 `(B, classes)`, each row a sum of shares that is 1. They need a loss of
such labels, `categorical_crossentropy`. Accuracy on mixed clips counts the larger share as the
class and so says little; look at that on test clips.
"""

import tensorflow as tf

from keras_mtnet.data.augment import Augment
from keras_mtnet.data.clip_ops import box_mask
from keras_mtnet.data.random_ops import choose, uniform


def mix_batch(
    clips: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, augment: Augment
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes a batch as `augment` says: by MixUp, CutMix, or either of them evenly.

    Clips are float32 `(B, T, H, W, 3)`, labels float32 `(B, classes)`, and so is what is returned.
    """
    which, inner = tf.unstack(tf.random.split(seed, 2))

    def by_mix_up():
        return mix_up(clips, labels, inner, augment.mix_up)

    def by_cut_mix():
        return cut_mix(clips, labels, inner, augment.cut_mix)

    if not (augment.mix_up and augment.cut_mix):
        return by_mix_up() if augment.mix_up else by_cut_mix()
    return tf.cond(uniform(which) < 0.5, by_mix_up, by_cut_mix)


def mix_up(
    clips: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, concentration: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Blends each clip with another one, by a share of its own (Zhang et al. 2018)."""
    pairs, shares = tf.unstack(tf.random.split(seed, 2))
    keep = _beta(shares, tf.shape(clips)[:1], concentration)
    partners = _partners(pairs, tf.shape(clips)[0])
    mixed = _blend(clips, tf.gather(clips, partners), keep[:, None, None, None, None])
    return mixed, _blend(labels, tf.gather(labels, partners), keep[:, None])


def cut_mix(
    clips: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, concentration: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts a box of another clip into each, the same in all frames (Yun et al. 2019).

    The share of a clip's label is the share of its pixels that are left.
    """
    pairs, shares, places = tf.unstack(tf.random.split(seed, 3))
    count, height, width = tf.unstack(tf.gather(tf.shape(clips), [0, 2, 3]))
    side = tf.sqrt(1.0 - _beta(shares, [count], concentration))
    middle = tf.random.stateless_uniform([2, count], places, alg="philox")
    top, bottom = _edges(middle[0], side, height)
    left, right = _edges(middle[1], side, width)
    mask = box_mask([height, width], (top, left, bottom - top, right - left))
    partners = _partners(pairs, count)
    mixed = tf.where(mask[:, None], tf.gather(clips, partners), clips)
    cut = tf.cast((bottom - top) * (right - left), tf.float32)
    keep = 1.0 - cut / tf.cast(height * width, tf.float32)
    return mixed, _blend(labels, tf.gather(labels, partners), keep[:, None])


def _edges(middle: tf.Tensor, side: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel inside and first behind a side, cut off at the frame's edges; int32 `(B,)`."""
    pixels = tf.cast(length, tf.float32)
    first, last = (middle - side / 2) * pixels, (middle + side / 2) * pixels
    return tuple(
        tf.cast(tf.round(tf.clip_by_value(x, 0.0, pixels)), tf.int32) for x in (first, last)
    )


def _blend(one: tf.Tensor, other: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    return keep * one + (1.0 - keep) * other


def _partners(seed: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """For each clip of a batch the place of another one, each once; its own if it is alone."""
    shift = 1 + tf.math.floormod(choose(seed, 2**31 - 1), tf.maximum(count - 1, 1))
    return tf.math.floormod(tf.range(count) + shift, count)


def _beta(seed: tf.Tensor, shape: tf.Tensor, concentration: float) -> tf.Tensor:
    """Numbers of the Beta distribution with both parameters `concentration`."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    one, other = (tf.random.stateless_gamma(shape, each, concentration) for each in seeds)
    # Both may be too small for float32 where the concentration is: then one clip is kept whole.
    return tf.where(one + other > 0, one / (one + other), tf.ones_like(one))
