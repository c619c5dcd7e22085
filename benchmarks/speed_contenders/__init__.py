"""The networks that speed.py compares, each in a process of its own, and how they take turns.

One contender a process keeps the backends apart, makes the peak memory that of one contender, and
lets them take turns on an otherwise idle machine.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CLASSES = 101
IN_PYTORCH = ("authors", "x3d")  # networks of others; ours run on any backend


@dataclass(frozen=True)
class Contender:
    """What is timed: one network, on one backend, doing one thing.

    Attributes:
        network: "ours", "ratio1" (ours without prolonged branches), "bare" (ours with everything
            but convolutions and matrix products removed), "authors" or "x3d".
        task: "inference", or "training": forward, backward and an SGD step.
        batch: clips at a time.
        clip: frames, height, width.
        model: "MTNetM" and so on, of ours; "tiny" for a try of the script.
        backend: "tensorflow", "jax" or "torch"; the other networks run on the last.
        compiled: through XLA (TensorFlow) or torch.compile; JAX is always compiled.
        precision: "float32", or "bfloat16" or "float16" mixed with it.
        reference: folder of the authors' code.
        form: key of `plain_forms.FORMS`: what ours does in its plain form.
    """

    network: str
    task: str
    batch: int
    clip: tuple[int, int, int]
    model: str = "MTNetM"
    backend: str = "tensorflow"
    compiled: bool = False
    precision: str = "float32"
    reference: str | None = None
    form: str | None = None

    @property
    def in_pytorch(self) -> bool:
        """Whether this is somebody else's network, which is in PyTorch."""
        return self.network in IN_PYTORCH


@dataclass
class Built:
    """A contender that is ready: a function to time, and what it is.

    Attributes:
        run: does the work once and returns when all of it is done.
        params, macs: of the network, the latter for one clip.
        gpu_peak: on a GPU, returns the peak of its memory in bytes.
    """

    run: Callable[[], Any]
    params: int
    macs: int
    gpu_peak: Callable[[], int] | None = None

    @property
    def on_gpu(self) -> bool:
        return self.gpu_peak is not None


class Unavailable(Exception):
    """Why a contender cannot run here."""


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
