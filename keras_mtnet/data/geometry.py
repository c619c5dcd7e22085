"""Which squares and boxes of a frame become a clip: pure functions of numbers in [0, 1).

A box is `(top, left, height, width)` in pixels.
"""

import numpy as np

from keras_mtnet.video.rgb import Box

# A frame's short side over the crop's: 320 for 256. Tests use the training scale too, so that
# things have the size the network has learnt; a test crop sees 0.8 of the shorter side.
SCALE = 1.25


def crop_side(height: int, width: int) -> int:
    """Side in pixels of the square of a frame that becomes a clip's."""
    return max(1, round(min(height, width) / SCALE))


def random_square(height: int, width: int, u: float, v: float) -> Box:
    """A training crop of `crop_side`; `u` and `v` choose among all that fit."""
    side = crop_side(height, width)
    return int(u * (height - side + 1)), int(v * (width - side + 1)), side, side


def random_box(
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    draws: np.ndarray,
) -> Box:
    """A box of a frame: its share of the area uniform, and its width over height in its logarithm.

    The first that fits of ten boxes, which 22 `draws` in [0, 1) decide. If none does, the tenth,
    with the sides that are too long cut to the frame's.
    """
    pixels = (area[0] + (area[1] - area[0]) * draws[:10]) * height * width
    ratios = aspect[0] * (aspect[1] / aspect[0]) ** draws[10:20]
    tall, wide = np.round(np.sqrt([pixels / ratios, pixels * ratios])).astype(int)
    fits = (tall <= height) & (wide <= width)
    place = fits.argmax() if fits.any() else 9
    tall, wide = (int(np.clip(n[place], 1, m)) for n, m in ((tall, height), (wide, width)))
    return int(draws[20] * (height - tall + 1)), int(draws[21] * (width - wide + 1)), tall, wide


def uniform_squares(height: int, width: int, crops: int) -> list[Box]:
    """Test crops of `crop_side` along the longer side, from end to end; a single one is central."""
    side = crop_side(height, width)
    down, right = height - side, width - side
    if crops == 1:
        return [(down // 2, right // 2, side, side)]
    places = [i / (crops - 1) for i in range(crops)]
    if height > width:
        return [(round(place * down), right // 2, side, side) for place in places]
    return [(down // 2, round(place * right), side, side) for place in places]
