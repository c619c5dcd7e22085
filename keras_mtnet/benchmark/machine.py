"""What a machine is, and how fast networks are on it."""

import dataclasses
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "av", "keras-mtnet")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def describe() -> dict[str, Any]:
    """Processor, instructions for vectors, cores, GPUs and versions, for a report.

    Example:

    >>> sorted(describe())
    ['backend', 'cores', 'gpus', 'instructions', 'processor', 'system', 'versions']
    """
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    have = set(text.split())
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "instructions": [name for name in INSTRUCTIONS if name in have],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpus": len(keras.distribution.list_devices("gpu")),
        "system": f"Python {platform.python_version()}, {platform.platform()}",
        "backend": keras.backend.backend(),
        "versions": versions,
    }


@dataclasses.dataclass(frozen=True)
class Speed:
    """Seconds of a network on one kind of batch: `first` of the first time, `median` later."""

    model: str
    what: str
    clips: tuple[int, ...]
    first: float
    median: float


def measure(model: keras.Model, batch_size: int = 1, rounds: int = 10) -> list[Speed]:
    """Times predictions and training steps on random clips of the network's own size.

    Args:
        model: from clips of known size to class scores; it is compiled, and trained a little.
        batch_size: clips at a time.
        rounds: times after the first, of which the median is taken.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 16, 16, 3))
    >>> [speed.what for speed in measure(model, rounds=1)]
    ['prediction', 'training step']
    """
    shape = (batch_size, *model.input_shape[1:])
    clips = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    labels = np.zeros(batch_size, "int32")
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    runs: dict[str, Callable[[], Any]] = {
        "prediction": lambda: model.predict_on_batch(clips),
        "training step": lambda: model.train_on_batch(clips, labels),
    }
    found = []
    for what, run in runs.items():
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        first, *later = seconds
        found.append(Speed(model.name, what, shape[:-1], first, statistics.median(later)))
    return found


def table(speeds: list[Speed]) -> str:
    """A line for each measurement."""
    lines = [f"{'network':16}{'what':16}{'clips':18}{'first, s':>10}{'then, s':>10}"]
    for speed in speeds:
        clips = "x".join(map(str, speed.clips))
        lines.append(
            f"{speed.model:16}{speed.what:16}{clips:18}{speed.first:10.2f}{speed.median:10.3f}"
        )
    return "\n".join(lines)
