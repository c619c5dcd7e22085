"""The description of a network's clips, which travels with the network."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_mtnet.checks import check_above_0, check_counts, given

SAMPLINGS = ("window", "uniform")

# The released MTNets': RGB of 0 to 255, scaled to 0..1, minus the mean, over the deviation.
MTNET_MEAN = (124 / 255, 117 / 255, 104 / 255)
MTNET_STD = (1 / (0.0167 * 255),) * 3


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """The clips that a network was trained on. None stands for "not known" everywhere.

    Attributes:
        frames: frames of a clip.
        stride: distance between neighboring frames of a clip, in frames of the video; None where
            sampling is uniform.
        size: height and width of a clip in pixels.
        fps: rate, in frames per second, to which videos are resampled before frames are picked;
            None takes them at their own rate.
        sampling: `"window"` (frames at `stride`) or `"uniform"` (one frame from each of `frames`
            equal segments of the video).
        class_names: in label order.

    Example:

    >>> ClipSpec(frames=16, stride=2).merge(size=112)
    ClipSpec(frames=16, stride=2, size=112, fps=None, sampling=None, class_names=None)
    """

    frames: int | None = None
    stride: int | None = None
    size: int | None = None
    fps: float | None = None
    sampling: str | None = None
    class_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_counts(**given(frames=self.frames, stride=self.stride, size=self.size))
        check_above_0(**given(fps=self.fps))
        if self.sampling is not None and self.sampling not in SAMPLINGS:
            raise ValueError(
                f"sampling must be one of {SAMPLINGS}. Received: sampling={self.sampling!r}"
            )
        if isinstance(self.class_names, str):
            raise ValueError(
                f"class_names must be a list of names. Received: class_names={self.class_names!r}"
            )
        if self.sampling == "uniform":
            object.__setattr__(self, "stride", None)
        if self.class_names is not None:
            object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))

    def merge(self, **values: Any) -> "ClipSpec":
        """Fills in what is not known yet. Values of None say nothing.

        Raises:
            ValueError: where a given value contradicts a known one; it names both.
        """
        known = {}
        for name, value in given(**values).items():
            if name == "class_names":
                value = tuple(map(str, value))
            own = getattr(self, name)
            if own is not None and own != value:
                first = _first_difference(own, value) if isinstance(own, tuple) else 0
                raise ValueError(
                    f"The model was trained with {name}={_short(own, first)}. "
                    f"Received: {name}={_short(value, first)}"
                )
            known[name] = value
        return dataclasses.replace(self, **known)

    def to_dict(self) -> dict[str, Any]:
        """The known attributes, for JSON."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        if self.class_names is not None:
            found["class_names"] = list(self.class_names)
        return found


def _first_difference(own: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(own, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(own), len(other)))


def _short(value: Any, first: int) -> str:
    """A value as a message shows it: of many class names six around the first that differs."""
    if not isinstance(value, tuple) or len(value) <= 6:
        return repr(value)
    start = max(0, min(first - 2, len(value) - 6))
    before = f"{start} more, " * (start > 0)
    after = f", {len(value) - start - 6} more" * (len(value) - start > 6)
    return f"({before}{', '.join(map(repr, value[start : start + 6]))}{after})"
