"""How strongly the local and the prolonged branch answer to a clip, stage by stage."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mtnet.explain.kept_frames import FrameTrace, trace_frames
from keras_mtnet.explain.watching import inner_layers, stage_of, watched
from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.mt_conv import MTConv, split_channels
from keras_mtnet.models.released_mtnet import TwoStreamMTBlock


@dataclasses.dataclass(frozen=True)
class BranchEnergy:
    """How strongly both branches of one stage answer to a clip.

    An energy is a mean square over the channels of the branch, rows, columns and blocks.

    Attributes:
        stage: name of the stage.
        local, prolonged: energy of each frame of the stage.
        local_frames, prolonged_frames: where in the clip these frames lie, in frames.
        channels: of the local and the prolonged branch.
    """

    stage: str
    local: tuple[float, ...]
    prolonged: tuple[float, ...]
    local_frames: tuple[float, ...]
    prolonged_frames: tuple[float, ...]
    channels: tuple[int, int]

    @property
    def share(self) -> float:
        """The prolonged branch's part of the energy of all channels, 0 to 1."""
        local, prolonged = (
            count * float(np.mean(energy))
            for count, energy in zip(self.channels, (self.local, self.prolonged), strict=True)
        )
        return prolonged / (local + prolonged) if local + prolonged else 0.0


def branch_energy(model: keras.Model, clip: Any) -> list[BranchEnergy]:
    """Measures how strongly the local and the prolonged branches answer to a clip.

    Actions of one class differ in how long their movements take (Figure 1); the branches are made
    for short and long ones. Measured is what the branches of a block add to its shortcut, behind
    the gate; of an `MTConv` outside of blocks, its output.

    Args:
        model: an `MTNet` or a network of `to_mtconv`, on any backend.
        clip: RGB of 0 to 255, `(T, H, W, 3)`.

    Returns:
        A `BranchEnergy` for each stage, in the order of the network; empty where nothing has a
        prolonged branch.

    Raises:
        ValueError: if this is not one clip.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8, 16), (1, 1), classes=2)
    >>> energies = mt.explain.branch_energy(model, np.ones((8, 32, 32, 3), "uint8"))
    >>> [(e.stage, e.channels, len(e.local)) for e in energies]
    [('stage1', (7, 1), 4), ('stage2', (14, 2), 2)]
    """
    found = {id(layer): (layer, *of) for *of, layer in _ends(model)}
    # stage -> (local, prolonged) -> energies (T,) of its blocks, and channels
    stages: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    channels: dict[tuple[str, int], int] = {}

    def see(layer: Any, x: Any, y: Any) -> None:
        _, stage, stream, ratio = found[id(layer)]
        blocks = stages.setdefault(stage, ([], []))
        y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))[0]
        if stream is None:
            parts = enumerate(np.split(y, [split_channels(y.shape[-1], ratio, "channels")[0]], -1))
        else:
            parts = enumerate([y], stream)
        for which, part in parts:
            blocks[which].append(np.square(part).mean(axis=(1, 2, 3)))
            channels[stage, which] = part.shape[-1]

    with watched([layer for layer, *_ in found.values()], see):
        trace, _ = trace_frames(model, clip, model)
    return [_energy(stage, blocks, channels, trace) for stage, blocks in stages.items()]


def _energy(
    stage: str,
    blocks: tuple[list[np.ndarray], list[np.ndarray]],
    channels: dict[tuple[str, int], int],
    trace: FrameTrace,
) -> BranchEnergy:
    """Averages the blocks of a stage; of those that differ in frames, the last ones count."""
    lines = []
    for stream, each in enumerate(blocks):
        same = [energy for energy in each if len(energy) == len(each[-1])]
        frames = trace.positions(stream, len(each[-1]))
        lines.append((tuple(np.mean(same, axis=0).tolist()), tuple(frames)))
    (local, local_frames), (prolonged, prolonged_frames) = lines
    both = channels[stage, 0], channels[stage, 1]
    return BranchEnergy(stage, local, prolonged, local_frames, prolonged_frames, both)


def _ends(model: keras.Model) -> list[tuple[str, int | None, float, Any]]:
    """Layers that both branches end in, as (stage, stream or None for both, ratio, layer)."""
    found: list[tuple[str, int | None, float, Any]] = []
    for path, layer, owner in inner_layers(model):
        stage = stage_of(path)
        ratio = getattr(layer, "ratio", 1)
        if isinstance(layer, MTBlock) and ratio < 1:
            found.append((stage, None, ratio, layer.gate))
        elif isinstance(layer, TwoStreamMTBlock):
            found += [(stage, i, ratio, gate) for i, gate in enumerate(layer.gates)]
        elif isinstance(layer, MTConv) and ratio < 1 and not isinstance(owner, MTBlock):
            found.append((stage, None, ratio, layer))
    return found


def table(energies: Sequence[BranchEnergy]) -> str:
    """The energies as text: mean of both branches, and the prolonged one's share."""
    rows = [("stage", "local", "prolonged", "share of prolonged")]
    for e in energies:
        means = (f"{np.mean(e.local):.4g}", f"{np.mean(e.prolonged):.4g}")
        rows.append((e.stage, *means, f"{e.share:.1%}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
