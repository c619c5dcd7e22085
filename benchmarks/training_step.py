"""From import to training MTNetM: seconds and resident memory, stage by stage.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --model MTNetL --batch_size 1
    python benchmarks/training_step.py --sizes 80 160
    python benchmarks/training_step.py --count --model X3DM
    PYTHONPATH=OTHER_CHECKOUT python benchmarks/training_step.py

Clips of 16 x 112 x 112 and SGD. To compare two versions, run them in turns, with nothing else
on the machine. Memory is that of the whole process; the last line has its peak.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path

import keras_mtnet as mt

import keras
import numpy as np


def tell(stage: str, seconds: float) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(f"{stage:12} {seconds:7.2f} s  {pages * resource.getpagesize() / 1e6:6,.0f} MB")


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def batch(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    clips = np.random.default_rng(0).integers(0, 256, (count, 16, size, size, 3), "uint8")
    return clips, np.zeros(count, "int32")


def count(model: keras.Model, clips: np.ndarray, labels: np.ndarray) -> None:
    """Prints how many operations the graphs of a step and of a prediction have, functions too."""
    import tensorflow as tf

    model.optimizer.build(model.trainable_variables)
    steps = {"step": model.train_step, "prediction": model.predict_step}
    for name, step in steps.items():
        traced = tf.function(lambda *batch, step=step: step(batch), autograph=False)
        graph = traced.get_concrete_function(clips, labels).graph.as_graph_def()
        functions = graph.library.function
        nodes = len(graph.node) + sum(len(each.node_def) for each in functions)
        print(f"{name:12} {nodes:7,} operations, {len(functions)} functions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="MTNetM")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=25, help="later ones, of which the median")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[], help="of further clips, a first step of each"
    )
    parser.add_argument("--count", action="store_true", help="operations only, on TensorFlow")
    arguments = parser.parse_args()
    tell("imports", timed(lambda: keras.ops.zeros(1))[1])
    size = None if arguments.sizes else 112
    shape = (16, size, size, 3)
    build = getattr(mt, arguments.model)
    model, seconds = timed(lambda: build(input_shape=shape, classes=400))
    tell("network", seconds)
    model.compile("sgd", "sparse_categorical_crossentropy")
    clips, labels = batch(arguments.batch_size, 112)
    if arguments.count:
        count(model, clips, labels)
        return
    tell("first step", timed(model.train_on_batch, clips, labels)[1])
    start = time.process_time()
    times = [timed(model.train_on_batch, clips, labels)[1] for _ in range(arguments.steps)]
    processor = (time.process_time() - start) / len(times)
    tell("later step", statistics.median(times))
    print(f"{'of processor':12} {processor:7.2f} s, mean")
    for size in arguments.sizes:
        tell(f"size {size}", timed(model.train_on_batch, *batch(arguments.batch_size, size))[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{'peak':12} {'':9}  {peak:6,.0f} MB")


if __name__ == "__main__":
    main()
