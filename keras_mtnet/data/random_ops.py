"""Random changes of clips: the same for all frames of a clip, another for each seed.

A clip is uint8 RGB `(T, H, W, 3)`. Everything random is a pure function of a seed, an int64 tensor
`(2,)`; in `clips` it is made of the run's seed and the number of the sample, so that a clip is the
same, bit for bit, whatever else is read in parallel and after a restart. With a seed of its own for
each clip, the functions serve in any `tf.data` pipeline.
"""

import functools
import math
from collections.abc import Callable

import tensorflow as tf

from keras_mtnet.clip_spec import MTNET_MEAN, MTNET_STD
from keras_mtnet.data import clip_ops

# --- Chance --------------------------------------------------------------------------------------


def sample_seed(seed: int, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a sample, or batch, of the training stream: int64 `(2,)`."""
    return tf.stack([tf.constant(seed % 2**63, tf.int64), tf.cast(number, tf.int64)])


def uniform(
    seed: tf.Tensor, low: float = 0.0, high: float = 1.0, *, shape: tuple[int, ...] = ()
) -> tf.Tensor:
    """Float32 numbers in [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, alg="philox")


def choose(seed: tf.Tensor, count: int) -> tf.Tensor:
    """A number from 0 to `count` - 1, int32."""
    return tf.random.stateless_uniform((), seed, 0, count, tf.int32, alg="philox")


def sometimes(
    clip: tf.Tensor,
    seed: tf.Tensor,
    probability: float,
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Applies a function of clip and seed with a probability."""
    chance, inner = tf.unstack(tf.random.split(seed, 2))
    changed = tf.cond(uniform(chance) < probability, lambda: function(clip, inner), lambda: clip)
    return tf.ensure_shape(changed, clip.shape)


def random_box(
    seed: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A box of a frame: top, left, height and width, int32; drawn as by `geometry.random_box`."""
    draws = tf.unstack(tf.random.split(seed, 4))
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    pixels = uniform(draws[0], *area, shape=(10,)) * height * width
    ratio = tf.exp(uniform(draws[1], *map(math.log, aspect), shape=(10,)))
    tall, wide = tf.round(tf.sqrt(pixels / ratio)), tf.round(tf.sqrt(pixels * ratio))
    fits = (tall <= height) & (wide <= width)
    place = tf.where(tf.reduce_any(fits), tf.argmax(tf.cast(fits, tf.int32)), 9)
    tall = tf.clip_by_value(tall[place], 1.0, height)
    wide = tf.clip_by_value(wide[place], 1.0, width)
    top = tf.floor(uniform(draws[2]) * (height - tall + 1))
    left = tf.floor(uniform(draws[3]) * (width - wide + 1))
    return tuple(tf.cast(each, tf.int32) for each in (top, left, tall, wide))


# --- Crops, colors, boxes ------------------------------------------------------------------------


# field of Augment -> what it does with a number drawn between the limits
JITTER = {
    "brightness": (clip_ops.brightness, 1.0),
    "contrast": (clip_ops.contrast, 1.0),
    "saturation": (clip_ops.saturation, 1.0),
    "hue": (clip_ops.hue, 0.0),
}


def color_jitter(
    clip: tf.Tensor,
    seed: tf.Tensor,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> tf.Tensor:
    """Changes the colors of a clip, in the order of the arguments: see `Augment`."""
    strengths = (brightness, contrast, saturation, hue)
    seeds = tf.unstack(tf.random.split(seed, 4))
    for (change, middle), strength, each in zip(JITTER.values(), strengths, seeds, strict=True):
        if strength:
            clip = change(clip, uniform(each, middle - strength, middle + strength))
    return clip


def random_erasing(
    clip: tf.Tensor,
    seed: tf.Tensor,
    area: tuple[float, float] = (0.02, 1 / 3),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> tf.Tensor:
    """Puts noise over a box, the same in all frames: normal, 0 and 1 once normalized."""
    where, what = tf.unstack(tf.random.split(seed, 2))
    shape = tf.shape(clip)
    noise = tf.random.stateless_normal(shape[1:], what, alg="philox")
    frame = clip_ops.to_pixels(255.0 * (noise * tf.constant(MTNET_STD) + tf.constant(MTNET_MEAN)))
    return clip_ops.fill_box(clip, random_box(where, shape[1], shape[2], area, aspect), frame)


# --- The list of the paper's authors -------------------------------------------------------------


def _choose_blur(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return clip_ops.gaussian_blur(clip, tf.gather([0.1, 0.2, 0.3], choose(seed, 3)))


def _add_noise(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    noise = tf.random.stateless_normal(tf.shape(clip)[1:], seed, alg="philox")
    return clip_ops.add(clip, 0.03 * 255 * noise)


def _choose_motion_blur(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    size, direction = tf.unstack(tf.random.split(seed, 2))
    length = 3 + 2 * choose(size, 3)
    return clip_ops.motion_blur(clip, length, uniform(direction, 0.0, 180.0), largest=7)


def _add_hue_saturation(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    hue, saturation = tf.unstack(uniform(seed, -16 / 255, 16 / 255, shape=(2,)))
    return clip_ops.add_hue_saturation(clip, hue, saturation)


def _perspective(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    scale, where = tf.unstack(tf.random.split(seed, 2))
    inward = tf.abs(tf.random.stateless_normal((4, 2), where, alg="philox"))
    inward = tf.minimum(inward * uniform(scale, 0.02, 0.05), 0.25)
    corners = tf.constant([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return clip_ops.perspective(clip, tf.abs(corners - inward))


# What the README of the authors' code names, in its order and with its values; their code draws
# per channel where it says so. Noise has the deviation 0.03 * 255 of that code: the README's ten
# times that would hide the video. Frames of a clip share the noise.
PAPER: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "Gaussian blur": _choose_blur,
    "addition per channel": lambda c, s: clip_ops.add(c, uniform(s, -5.0, 15.0, shape=(3,))),
    "Gaussian noise": _add_noise,
    "color enhancement": lambda c, s: clip_ops.saturation(c, uniform(s, 1.2, 1.6)),
    "motion blur": _choose_motion_blur,
    "hue and saturation": _add_hue_saturation,
    "linear contrast": lambda c, s: clip_ops.linear_contrast(c, uniform(s, 0.85, 1.115)),
    "perspective": _perspective,
    "rotation": lambda c, s: clip_ops.rotate(c, uniform(s, -10.0, 10.0)),
}
PAPER_EACH = 0.4  # probability of each


def paper_list(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Applies each operation of the list of the paper's authors with probability 0.4."""
    seeds = tf.unstack(tf.random.split(seed, len(PAPER)))
    for change, each in zip(PAPER.values(), seeds, strict=True):
        clip = sometimes(clip, each, PAPER_EACH, change)
    return clip


# --- RandAugment ---------------------------------------------------------------------------------


# Operations of Cubuk et al. 2020, as functions of clip, strength m in [0, 1] and a sign: what has
# a direction goes either way, and what has a neutral value moves away from it as m grows.
RAND_AUGMENT: dict[str, Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]] = {
    "identity": lambda clip, m, sign: clip,
    "auto contrast": lambda clip, m, sign: clip_ops.auto_contrast(clip),
    "equalize": lambda clip, m, sign: clip_ops.equalize(clip),
    "rotate": lambda clip, m, sign: clip_ops.rotate(clip, sign * 30 * m),
    "solarize": lambda clip, m, sign: clip_ops.solarize(clip, 256 * (1 - m)),
    "color": lambda clip, m, sign: clip_ops.saturation(clip, 1 + sign * 0.9 * m),
    "posterize": lambda clip, m, sign: clip_ops.posterize(clip, 8 - round(4 * m)),
    "contrast": lambda clip, m, sign: clip_ops.contrast(clip, 1 + sign * 0.9 * m),
    "brightness": lambda clip, m, sign: clip_ops.brightness(clip, 1 + sign * 0.9 * m),
    "sharpness": lambda clip, m, sign: clip_ops.sharpness(clip, 1 + sign * 0.9 * m),
    "shear x": lambda clip, m, sign: clip_ops.shear(clip, x=sign * 0.3 * m),
    "shear y": lambda clip, m, sign: clip_ops.shear(clip, y=sign * 0.3 * m),
    "translate x": lambda clip, m, sign: clip_ops.translate(clip, x=sign * 0.45 * m),
    "translate y": lambda clip, m, sign: clip_ops.translate(clip, y=sign * 0.45 * m),
}


def rand_augment(
    clip: tf.Tensor, seed: tf.Tensor, layers: int = 2, magnitude: float = 9
) -> tf.Tensor:
    """Applies `layers` operations of `RAND_AUGMENT`, each chosen evenly, of strength 0 to 10."""
    for each in tf.unstack(tf.random.split(seed, layers)):
        which, direction = tf.unstack(tf.random.split(each, 2))
        sign = 2.0 * tf.cast(choose(direction, 2), tf.float32) - 1.0
        changes = [
            functools.partial(change, clip, magnitude / 10, sign)
            for change in RAND_AUGMENT.values()
        ]
        changed = tf.switch_case(choose(which, len(changes)), changes)
        clip = tf.ensure_shape(changed, clip.shape)
    return clip
