"""MTNetXS from distilled and from random weights, with the same budget of fine-tuning.

    python benchmarks/finetune_mtnet_xs.py --videos VIDEOS --distilled runs/xs/model.keras \\
        --output docs/results/mtnet_xs.csv

Split 1 of both sets, the clips and the augmentation of `distill_mtnet_xs.py`; in tests the mean of
two windows of each video. The last epoch counts. Each run has a process of its own; start it again
to continue. The table has the mean over seeds, with the interval of `finetune_i3d.py` over all
their clips.
"""

import argparse
import csv
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import distill_mtnet_xs
import finetune_i3d
import keras_mtnet as mt

import keras
import numpy as np

SETS = {"jhmdb": 6, "ut_interaction": 20}  # and the epochs of each
WEIGHTS = ("random", "distilled")
COLUMNS = ("set", "weights", "seed", "video", "film", "label", "named")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--weights", nargs="+", choices=WEIGHTS, default=WEIGHTS)
    parser.add_argument("--distilled", type=Path, help="the distilled network")
    parser.add_argument("--output", required=True, type=Path, help="CSV of all test clips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="default: 6 of J-HMDB, 20 of UT-Interaction")
    arguments = parser.parse_args()
    if "distilled" in arguments.weights and arguments.distilled is None:
        parser.error("distilled weights need --distilled")
    rows = finetune_i3d.read(arguments.output)
    done = {(row["set"], row["weights"], row["seed"]) for row in rows}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
        runs = [
            pool.submit(run, *one, arguments)
            for one in itertools.product(SETS, map(str, range(arguments.seeds)), arguments.weights)
            if (one[0], one[2], one[1]) not in done
        ]
        for finished in as_completed(runs):
            rows += finished.result()
            with open(arguments.output, "w", newline="") as output:
                writer = csv.DictWriter(output, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    report(rows)


def run(name: str, seed: str, weights: str, arguments: argparse.Namespace) -> list[dict]:
    """Trains once, and returns a row for each test clip."""
    train, test = (
        mt.data.read_split("ucf101", str(arguments.videos / name), subset=subset)
        for subset in ("train", "test")
    )
    frames, size = distill_mtnet_xs.SHAPE[:2]
    keras.utils.set_random_seed(int(seed))
    model = mt.MTNetXS(
        weights=arguments.distilled if weights == "distilled" else None,
        classes=len(train.class_names),
        input_shape=distill_mtnet_xs.SHAPE,
    )
    data = mt.data.clips(
        *(train, frames, distill_mtnet_xs.STRIDE, size, distill_mtnet_xs.BATCH),
        training=True,
        seed=int(seed),
        augment=distill_mtnet_xs.AUGMENT,
    )
    epochs = arguments.epochs or SETS[name]
    steps = epochs * len(data)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0)
    tested = mt.evaluate_views(model, test, num_clips=2, num_crops=1, verbose=False)
    accuracy = history.history["accuracy"][-1]
    print(f"{name} {weights} {seed}: training {accuracy:.3f}, test {tested.top1:.3f}", flush=True)
    columns = (tested.names, tested.groups, tested.labels, tested.predicted)
    return [
        dict(zip(COLUMNS, (name, weights, seed, *row), strict=True))
        for row in zip(*columns, strict=True)
    ]


def report(rows: list[dict]) -> None:
    for key in dict.fromkeys((row["set"], row["weights"]) for row in rows):
        own = [row for row in rows if (row["set"], row["weights"]) == key]
        right = np.array([str(row["label"]) == str(row["named"]) for row in own])
        seeds = np.array([row["seed"] for row in own])
        each = ", ".join(f"{right[seeds == seed].mean():.3f}" for seed in np.unique(seeds))
        # A clip's answers of all seeds are drawn together.
        films = [row["film"] for row in own]
        unit = films if len(set(films)) >= 10 else [row["video"] for row in own]
        low, high = finetune_i3d.interval(right, np.array(unit))
        print(*key, f"{right.mean():.3f} [{low:.3f}, {high:.3f}]; seeds: {each}")


if __name__ == "__main__":
    main()
