"""MTNetXS from distilled and from random weights, with the same budget of fine-tuning.

    python benchmarks/finetune_mtnet_xs.py --videos VIDEOS --distilled runs/xs/FILE.weights.h5 \\
        --output docs/results/mtnet_xs.csv

The clips are the student's views of `distill_mtnet_xs.py`: two of each training video, mirrored at
random; in tests the mean of both. The last epoch counts. Start it again to continue with the next
run. The table has the mean over seeds, with the interval of `finetune_i3d.py` over all their clips.
"""

import argparse
import csv
from pathlib import Path

import distill_mtnet_xs
import finetune_i3d
import i3d_views
import keras_mtnet as mt

import keras
import numpy as np

SETS = {"ut_interaction": 20, "jhmdb": 5}  # and the epochs of each
COLUMNS = ("set", "weights", "seed", "video", "film", "label", "named")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--distilled", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path, help="CSV of all test clips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="default: 20 of UT-Interaction, 5 of J-HMDB")
    arguments = parser.parse_args()
    rows = finetune_i3d.read(arguments.output)
    done = {(row["set"], row["weights"], row["seed"]) for row in rows}
    for name in SETS:
        loaded = load(arguments.videos / name)
        for seed in range(arguments.seeds):
            for weights in ("random", "distilled"):
                if (name, weights, str(seed)) in done:
                    continue
                file = arguments.distilled if weights == "distilled" else None
                facts = {"set": name, "weights": weights, "seed": str(seed)}
                rows += run(facts, loaded, file, arguments.epochs or SETS[name])
                with open(arguments.output, "w", newline="") as output:
                    writer = csv.DictWriter(output, COLUMNS, lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    report(rows)


def load(root: Path) -> tuple:
    """All videos of a set, their clips `(views, n, 8, 96, 96, 3)`, and both lists of split 1."""
    videos = i3d_views.read_all(root)
    views = distill_mtnet_xs.VIEWS
    clips = np.stack([i3d_views.read_views(videos, view, 96, 4) for view in views])
    lists = [i3d_views.places(root, videos, 1, subset) for subset in ("train", "test")]
    return videos, clips, *lists


def run(facts: dict[str, str], loaded: tuple, weights: Path | None, epochs: int) -> list[dict]:
    """Trains once, and returns a row for each test clip."""
    videos, clips, train, test = loaded
    labels = np.array([video.label for video in videos])
    seed = int(facts["seed"])
    keras.utils.set_random_seed(seed)
    model = mt.MTNetXS(
        weights=weights, classes=int(labels.max()) + 1, input_shape=distill_mtnet_xs.SHAPE
    )
    seen, targets = np.concatenate(clips[:, train]), np.tile(labels[train], len(clips))
    data = distill_mtnet_xs.Views(seen, targets, seed)
    steps = epochs * len(data)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0)
    print(facts, history.history["accuracy"][-1], flush=True)
    scores = sum(model.predict(view[test], batch_size=16, verbose=0) for view in clips)
    return finetune_i3d.rows_of(facts, videos, finetune_i3d.films_of(videos), test, scores)


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
