"""What the options of the command line choose: contenders and their clips."""

import argparse
from collections.abc import Sequence

from speed_contenders import IN_PYTORCH, Contender

# network of a contender -> its name in the tables
NAMES = {
    "ours": "ours, ratio 7/8",
    "ratio1": "ours, ratio 1",
    "recompute": "ours, recomputing",
    "bare": "ours, bare products",
    "authors": "authors, PyTorch",
    "x3d": "X3D-M, PyTorch",
}


def contender(
    options: argparse.Namespace, network: str, task: str, batch: int, clip: Sequence[int], **kwargs
) -> Contender:
    """A contender on the backend of the options, of others' networks on PyTorch."""
    kwargs = {"backend": "torch" if network in IN_PYTORCH else options.backend, **kwargs}
    model = "tiny" if options.quick else "MTNetM"
    return Contender(network, task, batch, clip, model, reference=options.reference, **kwargs)


def clip_of(options: argparse.Namespace, pixels: int = 224) -> tuple[int, int, int]:
    """Frames, height and width of a clip; `--quick` takes tiny ones."""
    return (8, 64, 64) if options.quick else (16, pixels, pixels)


def sizes(clip: Sequence[int]) -> str:
    return "x".join(map(str, clip))
