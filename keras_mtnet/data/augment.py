"""Random changes of training clips: the same for all frames of a clip, another for each clip.

Everything random is a pure function of a seed, an int64 tensor `(2,)`; in `clips` it is made of the
run's seed and the number of the sample, so that a clip is the same, bit for bit, whatever else is
read in parallel and after a restart.
"""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from keras_mtnet.data import clip_ops
from keras_mtnet.models.preprocessing import MEAN, STD


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is done to training clips. A field that is 0 or None does nothing.

    Attributes:
        flip: probability of mirroring a clip. 0 where left and right make the difference.
        crop_area: lowest and highest share of the frame's area in the crop, which is then resized
            to the clip's size; None for a crop of the clip's size.
        crop_aspect: lowest and highest width over height of that crop.
        brightness: factors are drawn from 1 - brightness to 1 + brightness.
        contrast: the same for contrast.
        saturation: the same for saturation.
        hue: turns of the colour circle are drawn from -hue to hue, at most 0.5.
        paper: probability of using the list of the paper's authors on a clip: see `PAPER`.
        rand_layers: how many of the operations of RandAugment follow each other on a clip.
        rand_magnitude: their strength, 0 to 10.
        erase: probability of putting noise over a box of the clip.
        erase_area: lowest and highest share of that box in the area.
        erase_aspect: lowest and highest width over height of that box.
        mix_up: concentration of the Beta distribution by which two clips are blended.
        cut_mix: that of the share of a clip that another one's box leaves. Where both are above 0,
            a batch gets one of the two, evenly. Both make labels soft.

    Raises:
        ValueError: for a value outside its range.
    """

    flip: float = 0.5
    crop_area: tuple[float, float] | None = None
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    paper: float = 0.0
    rand_layers: int = 0
    rand_magnitude: float = 9.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 1 / 3)
    erase_aspect: tuple[float, float] = (0.3, 1 / 0.3)
    mix_up: float = 0.0
    cut_mix: float = 0.0

    def __post_init__(self) -> None:
        for names, highest in _HIGHEST.items():
            for name in names:
                value = getattr(self, name)
                if not 0 <= value <= highest:
                    raise ValueError(f"{name} must be from 0 to {highest}. Received: {value}")
        for name, highest in _HIGHEST_OF_RANGE.items():
            value = getattr(self, name)
            if value is not None and not 0 < value[0] <= value[1] <= highest:
                raise ValueError(
                    f"{name} must be two numbers, 0 < lowest <= highest <= {highest}. "
                    f"Received: {value}"
                )

    @property
    def mixes(self) -> bool:
        """Whether clips of a batch are mixed, so that labels are soft."""
        return self.mix_up > 0 or self.cut_mix > 0

    @property
    def changes_pixels(self) -> bool:
        """Whether anything is done to a single clip but crop and flip."""
        jitter = self.brightness or self.contrast or self.saturation or self.hue
        return bool(jitter or self.paper or self.rand_layers or self.erase)


_HIGHEST: dict[tuple[str, ...], float] = {
    ("flip", "brightness", "contrast", "saturation", "paper", "erase"): 1,
    ("hue",): 0.5,
    ("rand_layers", "rand_magnitude"): 10,
    ("mix_up", "cut_mix"): 100,
}
_HIGHEST_OF_RANGE = {"crop_area": 1, "crop_aspect": 100, "erase_area": 1, "erase_aspect": 100}

PRESETS: dict[str, Augment] = {
    # Random crop and flip alone, as in the paper's text.
    "none": Augment(),
    # The list in the README of the paper's authors: for 8 clips of 10.
    "paper": Augment(paper=0.8),
    # Cubuk et al. 2020 with their setting for ResNet-50.
    "randaugment": Augment(rand_layers=2, rand_magnitude=9),
    # What long runs from scratch on large sets have come to use since. Labels are soft.
    "strong": Augment(
        crop_area=(0.2, 1.0), rand_layers=2, rand_magnitude=7, erase=0.25, mix_up=0.8, cut_mix=1.0
    ),
}


def find_augment(augment: str | Augment) -> Augment:
    """An `Augment` by the name of its preset, or as it is.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(augment, Augment):
        return augment
    if augment not in PRESETS:
        raise ValueError(
            f"augment must be one of {', '.join(PRESETS)}, or an Augment. Received: {augment!r}"
        )
    return PRESETS[augment]


def augment_clip(clip: tf.Tensor, seed: tf.Tensor, augment: Augment) -> tf.Tensor:
    """Does to a clip what `augment` says, but for crop, flip and the mixing of a batch.

    Args:
        clip: uint8 `(T, H, W, 3)`.
        seed: int64 `(2,)`.
        augment: what to do.

    Returns:
        A clip of the same type and shape.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    jitter = {name: getattr(augment, name) for name in _JITTER}
    if any(jitter.values()):
        clip = color_jitter(clip, seeds[0], **jitter)
    if augment.paper:
        clip = _sometimes(clip, seeds[1], augment.paper, paper_list)
    if augment.rand_layers:
        clip = rand_augment(clip, seeds[2], augment.rand_layers, augment.rand_magnitude)
    if augment.erase:
        erase = functools.partial(
            random_erasing, area=augment.erase_area, aspect=augment.erase_aspect
        )
        clip = _sometimes(clip, seeds[3], augment.erase, erase)
    return clip


# --- Chance --------------------------------------------------------------------------------------


def sample_seed(seed: int, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a sample, or batch, of the training stream: int64 `(2,)`."""
    return tf.stack([tf.constant(seed % 2**63, tf.int64), tf.cast(number, tf.int64)])


def uniform(
    seed: tf.Tensor, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()
) -> tf.Tensor:
    """Float32 numbers in [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, alg="philox")


def choose(seed: tf.Tensor, count: int) -> tf.Tensor:
    """A number from 0 to `count` - 1, int32."""
    return tf.random.stateless_uniform((), seed, 0, count, tf.int32, alg="philox")


def _sometimes(
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
    """A box in a frame: its share of the area uniform, its aspect uniform in its logarithm.

    Returns:
        Top, left, height and width, int32. The first of ten boxes that fits; if none does, the
        tenth with the sides that are too long cut to the frame's.
    """
    draws = tf.unstack(tf.random.split(seed, 4))
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    pixels = uniform(draws[0], *area, shape=(10,)) * height * width
    ratio = tf.exp(uniform(draws[1], *map(float, tf.math.log(aspect)), shape=(10,)))
    tall, wide = tf.round(tf.sqrt(pixels / ratio)), tf.round(tf.sqrt(pixels * ratio))
    fits = (tall <= height) & (wide <= width)
    place = tf.where(tf.reduce_any(fits), tf.argmax(tf.cast(fits, tf.int32)), 9)
    tall = tf.clip_by_value(tall[place], 1.0, height)
    wide = tf.clip_by_value(wide[place], 1.0, width)
    top = tf.floor(uniform(draws[2]) * (height - tall + 1))
    left = tf.floor(uniform(draws[3]) * (width - wide + 1))
    return tuple(tf.cast(each, tf.int32) for each in (top, left, tall, wide))


# --- Crops, colours, boxes -----------------------------------------------------------------------


def random_resized_crop(
    clip: tf.Tensor,
    seed: tf.Tensor,
    size: int,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> tf.Tensor:
    """Cuts a random box out of all frames and resizes it to `(T, size, size, 3)`."""
    shape = tf.shape(clip)
    top, left, height, width = random_box(seed, shape[1], shape[2], area, aspect)
    box = clip[:, top : top + height, left : left + width]
    resized = clip_ops.to_pixels(tf.image.resize(box, [size, size]))
    return tf.ensure_shape(resized, [clip.shape[0], size, size, 3])


# field of Augment -> what it does with a number drawn between the limits
_JITTER = {
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
    """Changes the colours of a clip, in the order of the arguments: see `Augment`."""
    strengths = (brightness, contrast, saturation, hue)
    seeds = tf.unstack(tf.random.split(seed, 4))
    for (change, middle), strength, each in zip(_JITTER.values(), strengths, seeds, strict=True):
        if strength:
            clip = change(clip, uniform(each, middle - strength, middle + strength))
    return clip


def random_erasing(
    clip: tf.Tensor,
    seed: tf.Tensor,
    area: tuple[float, float] = (0.02, 1 / 3),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> tf.Tensor:
    """Puts noise over a box, the same in all frames: normal, 0 and 1 once normalised."""
    where, what = tf.unstack(tf.random.split(seed, 2))
    shape = tf.shape(clip)
    noise = tf.random.stateless_normal(shape[1:], what, alg="philox")
    frame = clip_ops.to_pixels(255.0 * (noise * tf.constant(STD) + tf.constant(MEAN)))
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
    "colour enhancement": lambda c, s: clip_ops.saturation(c, uniform(s, 1.2, 1.6)),
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
        clip = _sometimes(clip, each, PAPER_EACH, change)
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
