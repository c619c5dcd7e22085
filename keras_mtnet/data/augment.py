"""Augmentation of training clips: one dataclass, and a table of presets."""

import dataclasses
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Augment:
    """Augmentation of training clips. A field that is 0 or None does nothing.

    Attributes:
        flip: probability of mirroring a clip. 0 where left and right make the difference.
        crop_area: lowest and highest share of the frame's area in the crop, which is then resized
            to the clip's size; None for a crop of the clip's size.
        crop_aspect: lowest and highest width over height of that crop.
        brightness: factors are drawn from 1 - brightness to 1 + brightness.
        contrast: the same for contrast.
        saturation: the same for saturation.
        hue: turns of the color circle are drawn from -hue to hue, at most 0.5.
        paper: probability of using the list of the paper's authors, `random_ops.PAPER`, on a clip.
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


def find_augment(
    augment: str | Augment, flip: float | None = None, training: bool = True
) -> Augment:
    """What is done to clips, by the arguments of `clips`; ValueError for wrong ones."""
    if not isinstance(augment, Augment):
        if augment not in PRESETS:
            raise ValueError(
                f"augment must be one of {', '.join(PRESETS)}, or an Augment. Received: {augment!r}"
            )
        augment = PRESETS[augment]
    if augment != PRESETS["none"] and not training:
        raise ValueError(f"augment needs training=True. Received: augment={augment}")
    return augment if flip is None else dataclasses.replace(augment, flip=float(flip))


def augment_clip(clip: "tf.Tensor", seed: "tf.Tensor", augment: Augment) -> "tf.Tensor":
    """Augments a clip, uint8 `(T, H, W, 3)`, except for crop, flip and the mixing of a batch."""
    import tensorflow as tf

    from keras_mtnet.data import random_ops

    seeds = tf.unstack(tf.random.split(seed, 4))
    jitter = {name: getattr(augment, name) for name in random_ops.JITTER}
    if any(jitter.values()):
        clip = random_ops.color_jitter(clip, seeds[0], **jitter)
    if augment.paper:
        clip = random_ops.sometimes(clip, seeds[1], augment.paper, random_ops.paper_list)
    if augment.rand_layers:
        layers, magnitude = augment.rand_layers, augment.rand_magnitude
        clip = random_ops.rand_augment(clip, seeds[2], layers, magnitude)
    if augment.erase:
        erase = functools.partial(
            random_ops.random_erasing, area=augment.erase_area, aspect=augment.erase_aspect
        )
        clip = random_ops.sometimes(clip, seeds[3], augment.erase, erase)
    return clip
