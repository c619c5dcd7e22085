"""What augmentation costs beside reading the clips.

    python benchmarks/augmentation.py --json augmentation.json

Draws videos of 320x240 and reads training clips of them with `keras_mtnet.data.clips`, with each
preset and with each operation of RandAugment and of the paper's list by itself. A row tells the
milliseconds of CPU time, on all cores together, for a clip; other work on the machine hardly moves
them. The presets' rows hold reading, decoding, resizing and normalizing; those of the operations
only what they do themselves.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable

import keras_mtnet as mt
from keras_mtnet.data import augment, draw_dataset, random_ops

import numpy as np
import tensorflow as tf


def cpu_milliseconds(work: Callable[[int], None], count: int) -> float:
    """CPU time of one of `count` pieces of work, after two to warm up."""
    work(2)
    start = time.process_time()
    work(count)
    return (time.process_time() - start) / count * 1e3


def preset(videos: mt.data.Videos, name: str, options: argparse.Namespace) -> float:
    batches = mt.data.clips(
        videos,
        options.frames,
        2,
        options.size,
        options.batch_size,
        training=True,
        label_mode="categorical",
        augment=name,
    )
    iterator = iter(batches.repeat())

    def work(count: int) -> None:
        for _ in range(count):
            next(iterator)

    return cpu_milliseconds(work, options.batches) / options.batch_size


def operation(
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], options: argparse.Namespace
) -> float:
    shape = (options.frames, options.size, options.size, 3)
    clip = tf.constant(np.random.default_rng(0).integers(0, 256, shape, "uint8"))
    graph = tf.function(lambda number: change(clip + 0, random_ops.sample_seed(0, number)))

    def work(count: int) -> None:
        for number in range(count):
            graph(tf.constant(number)).numpy()

    return cpu_milliseconds(work, options.batches)


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        draw_dataset(folder, groups=2, clips_per_group=2, frames=64, size=(320, 240))
        videos = mt.data.read_split("folder", folder, subset="all")
        presets = {name: preset(videos, name, options) for name in augment.PRESETS}
    operations = {
        **{f"paper: {name}": change for name, change in random_ops.PAPER.items()},
        **{
            f"randaugment: {name}": lambda clip, seed, change=change: change(clip, 0.9, 1.0)
            for name, change in random_ops.RAND_AUGMENT.items()
        },
        "erasing": random_ops.random_erasing,
        "resized crop": lambda c, s: random_ops.random_resized_crop(c, s, options.size),
    }
    return {
        "presets": presets,
        "operations": {name: operation(change, options) for name, change in operations.items()},
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=20, help="of each row")
    parser.add_argument("--json", help="file for the numbers")
    options = parser.parse_args(argv)
    result = measure(options)
    print(f"CPU ms for a clip of {options.frames}x{options.size}x{options.size}")
    for part, rows in result.items():
        print(f"\n{part}")
        for name, value in rows.items():
            print(f"  {name:28s}{value:8.1f}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "cpu_ms_per_clip": result}, file, indent=2)


if __name__ == "__main__":
    main(sys.argv[1:])
