"""From import to training MTNetM: seconds and resident memory, stage by stage.

    python benchmarks/training_step.py
    PYTHONPATH=OTHER_CHECKOUT python benchmarks/training_step.py

Four clips of 16 x 112 x 112 and SGD. To compare two versions, run them in turns, with nothing else
on the machine. Memory is that of the whole process; the last line has its peak.
"""

import resource
import statistics
import time
from pathlib import Path

import keras_mtnet as mt

import numpy as np

STEPS = 25


def tell(stage: str, seconds: float) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(f"{stage:12} {seconds:7.2f} s  {pages * resource.getpagesize() / 1e6:6,.0f} MB")


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def main() -> None:
    model, seconds = timed(lambda: mt.MTNetM(input_shape=(16, 112, 112, 3), classes=400))
    tell("network", seconds)
    model.compile("sgd", "sparse_categorical_crossentropy")
    clips = np.random.default_rng(0).integers(0, 256, (4, 16, 112, 112, 3), "uint8")
    labels = np.zeros(4, "int32")
    tell("first step", timed(model.train_on_batch, clips, labels)[1])
    times = [timed(model.train_on_batch, clips, labels)[1] for _ in range(STEPS)]
    tell("later step", statistics.median(times))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{'peak':12} {'':9}  {peak:6,.0f} MB")


if __name__ == "__main__":
    main()
