"""The frames that each frame selection of a network keeps of a clip."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_mtnet.explain.watching import check_clip, inner_layers, stage_of, watched
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection
from keras_mtnet.models.released_mtnet import TwoStreamEntry

# Of each frame of a feature map, the frames of the clip that it stands for.
Groups = list[tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class KeptFrames:
    """What one frame selection keeps of a clip.

    Attributes:
        layer: its path in the network, as `"stage1_block1/conv1/selection"`.
        total: how many frames it receives.
        kept: which of these it keeps, ascending.
        frames: the frames of the clip that these stand for, ascending.
    """

    layer: str
    total: int
    kept: tuple[int, ...]
    frames: tuple[int, ...]

    @property
    def stage(self) -> str:
        """Name of the stage that it is in."""
        return stage_of(self.layer)


@dataclasses.dataclass(frozen=True)
class FrameTrace:
    """The frames of a clip on their way through a network.

    Attributes:
        kept: what each selection keeps, in the order of the network.
        streams: the frames of the clip that are left after the selections of the whole network; of
            one with a local and a prolonged stream, of both.
    """

    kept: list[KeptFrames]
    streams: list[Groups]

    def positions(self, stream: int, count: int) -> list[float]:
        """Where in the clip the frames of a feature map of `count` frames lie, in frames."""
        stream = stream if stream < len(self.streams) else 0
        return [sum(group) / len(group) for group in merge(self.streams[stream], count)]


def kept_frames(model: keras.Model, clip: Any) -> list[KeptFrames]:
    """Finds the frames that each `TripletCosineSelection` in a network keeps of a clip.

    A selection deep in the network chooses among feature maps that strides have shortened: one of
    them stands for all frames that were merged into it. An `MTConv` chooses twice, first for its
    prolonged channels and then for what its local branch hands over.

    Args:
        model: a network with frame selection, on any backend.
        clip: RGB of 0 to 255, `(T, H, W, 3)`.

    Returns:
        A `KeptFrames` for each selection, in the order of the network; empty if it has none.

    Raises:
        ValueError: if this is not one clip.

    Source: eqs. 6-7.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> clip = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
    >>> model = mt.MTNet((8, 16), (1, 1), classes=2)
    >>> first = mt.explain.kept_frames(model, clip)[0]
    >>> first.layer, first.total, len(first.frames)
    ('stem_selection', 8, 4)
    """
    return trace_frames(model, clip, model)[0].kept


def trace_frames(model: keras.Model, clip: Any, run: Callable[..., Any]) -> tuple[FrameTrace, Any]:
    """Follows the frames of a clip while `run` computes the layers of a model; and its result."""
    clips = check_clip(clip)
    trace = FrameTrace([], [[(i,) for i in range(clips.shape[1])]])
    found = {id(x): (x, *of) for *of, x in _selections(model)}

    def see(layer: Any, x: Any, y: Any) -> None:
        _, path, owner = found[id(layer)]
        kept = [int(i) for i in keras.ops.convert_to_numpy(layer.kept_frames(x))[0]]
        groups = merge(trace.streams[0], x.shape[1])
        left = [groups[i] for i in kept]
        frames = tuple(sorted({i for group in left for i in group}))
        trace.kept.append(KeptFrames(path, x.shape[1], tuple(kept), frames))
        if isinstance(owner, TwoStreamEntry) and path in [k.layer for k in trace.kept[:-1]]:
            trace.streams.append(left)  # its second choice is for the prolonged stream alone
        elif isinstance(owner, keras.Model | TwoStreamEntry):
            trace.streams[0] = left  # what follows sees no other frames

    with watched([layer for layer, *_ in found.values()], see):
        outputs = run(clips, training=False)
    return trace, outputs


def _selections(model: keras.Model) -> list[tuple[str, Any, Any]]:
    layers = inner_layers(model)
    return [(path, owner, x) for path, x, owner in layers if isinstance(x, TripletCosineSelection)]


def merge(groups: Sequence[tuple[int, ...]], count: int) -> Groups:
    """The groups of a map of `count` frames that strides made of one with `groups`.

    >>> merge([(0,), (2,), (3,), (7,)], 2)
    [(0, 2), (3, 7)]
    """
    total, merged = len(groups), []
    for j in range(count):
        start = j * total // count
        end = max(start + 1, (j + 1) * total // count)
        merged.append(tuple(i for group in groups[start:end] for i in group))
    return merged
