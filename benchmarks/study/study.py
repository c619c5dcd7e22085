"""Trains and tests one row of the study, as PROTOCOL.md says, and writes what it predicted.

    python benchmarks/study/study.py --data utd_mhad_depth --root VIDEOS --row mtnet_7_8 --seed 0

`--root` may be the packed set. With `--select` it chooses rate and epochs on training subjects
alone, and writes them to the table of choices, which later runs of the row take.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import keras_mtnet as mt
from keras_mtnet.data.groups import find_groups
from keras_mtnet.training.schedules import warmup_cosine

import keras
import numpy as np
from contenders import ROWS, build, cost

HERE = Path(__file__).parent
STRIDES = {"utd_mhad_depth": 3, "jhmdb": 1}
FLIPS = {"utd_mhad_depth": 0.0, "jhmdb": 0.5}
FOLDS = {"utd_mhad_depth": 2, "jhmdb": 3}
SPEEDS = (0.5, 0.75, 1.0, 1.5, 2.0)
RATES, EPOCHS = (0.025, 0.05, 0.1), (40, 80, 160)
RATE, VIEWS, BATCH = 30.0, 5, 8  # frames per second of the videos; clips of a test; of a step
DEFAULT = {"rate": 0.05, "epochs": 80}  # of rows that nothing was chosen for


def main() -> None:
    arguments = parse_arguments()
    folder = Path(arguments.output) / arguments.data
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.select:
        select(arguments, folder)
        return
    lists = {"root": arguments.root, "split": arguments.fold}
    train = mt.data.read_split("ucf101", subset="train", **lists)
    test = mt.data.read_split("ucf101", subset="test", **lists)
    chosen = choices(folder).get(arguments.row, DEFAULT)
    rate, epochs = arguments.rate or chosen["rate"], arguments.epochs or chosen["epochs"]
    name = f"{arguments.row}_fold{arguments.fold}_seed{arguments.seed}"
    started = time.time()
    model, accuracy = fit(arguments, train, rate, epochs, folder / f"{name}_history.csv")
    results = {speed: evaluate(model, test, arguments.data, speed) for speed in SPEEDS}
    write_predictions(folder / f"{name}.csv", results)
    line = {
        "row": arguments.row,
        "fold": arguments.fold,
        "seed": arguments.seed,
        "rate": rate,
        "epochs": epochs,
        "chosen": arguments.row in choices(folder),
        "params": cost(model, "params"),
        "macs": cost(model, "macs"),
        "train_accuracy": round(accuracy, 4),
        "top1": round(results[1.0].top1, 4),
        "minutes": round((time.time() - started) / 60, 1),
    }
    append(folder / "runs.csv", line)
    print(json.dumps(line))


def fit(
    arguments: argparse.Namespace, videos: mt.data.Videos, rate: float, epochs: int, history: Path
) -> tuple[keras.Model, float]:
    """Trains a row; returns the network and its last training accuracy."""
    keras.utils.set_random_seed(arguments.seed)
    clips = {"frames": 16, "size": 64, "stride": STRIDES[arguments.data], "batch_size": BATCH}
    augment = {"flip": FLIPS[arguments.data], "seed": arguments.seed}
    # Not `clips`: this one needs no TensorFlow, so that a GPU may train by JAX or PyTorch.
    train = mt.data.ClipSequence(videos, training=True, **clips, **augment)
    model = build(arguments.row, len(videos.class_names))
    steps = epochs * len(train)
    schedule = warmup_cosine(rate, steps, steps // 10)
    optimizer = mt.optimizers.LayerwiseSGD(schedule, weight_decay=1e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    log = [keras.callbacks.CSVLogger(str(history)), mt.callbacks.StopOnNaN()]
    fitted = model.fit(train, epochs=epochs, verbose=2, callbacks=log)
    return model, fitted.history["accuracy"][-1]


def evaluate(model: keras.Model, videos: mt.data.Videos, data: str, speed: float):
    """Tests on videos that run at `speed` times their own."""
    views = {"num_clips": VIEWS, "num_crops": 1, "frames": 16, "stride": STRIDES[data], "size": 64}
    network = keras.Model(model.inputs[0], model.outputs[0])  # one that knows no frame rate
    return mt.evaluate_views(network, videos, fps=RATE / speed, batch_size=16, **views)


def write_predictions(path: Path, results: dict[float, "mt.evaluation.Evaluation"]) -> None:
    """One line for each test video: group, class, and the predicted class at every speed."""
    of = next(iter(results.values()))
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["video", "group", "label", *(f"x{speed:g}" for speed in results)])
        predicted = np.stack([result.predicted for result in results.values()], axis=1)
        names = np.array(of.class_names)
        for i, video in enumerate(of.names):
            table.writerow([video, of.groups[i], names[of.labels[i]], *names[predicted[i]]])


def select(arguments: argparse.Namespace, folder: Path) -> None:
    """Chooses rate and epochs of a row on a quarter of the training subjects."""
    videos = mt.data.read_split("ucf101", arguments.root, subset="train", split=1)
    groups, _ = find_groups((video.name, video.label) for video in videos)
    names = sorted(set(groups.values()))
    held = set(np.random.default_rng(0).permutation(names)[: max(1, len(names) // 4)])
    parts = [[v for v in videos if (groups[v.name] in held) is out] for out in (False, True)]
    train, valid = (
        mt.data.Videos(part, videos.class_names, (), videos.dataset, videos.rule) for part in parts
    )
    arguments.seed, tried = 100, {}

    def accuracy(rate: float, epochs: int) -> float:
        history = folder / f"select_{arguments.row}_{rate}_{epochs}.csv"
        tried[rate, epochs] = evaluate(
            fit(arguments, train, rate, epochs, history)[0], valid, arguments.data, 1.0
        ).top1
        return tried[rate, epochs]

    rate = max(RATES, key=lambda rate: accuracy(rate, EPOCHS[0]))
    for epochs in EPOCHS[1:]:
        accuracy(rate, epochs)
    rate, epochs = max(tried, key=lambda key: (tried[key], -key[1]))
    text = {f"{rate} {epochs}": round(top1, 4) for (rate, epochs), top1 in tried.items()}
    known = choices(folder) | {arguments.row: {"rate": rate, "epochs": epochs, "tried": text}}
    (folder / "choices.json").write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def choices(folder: Path) -> dict[str, dict]:
    path = folder / "choices.json"
    return json.loads(path.read_text()) if path.exists() else {}


def append(path: Path, line: dict) -> None:
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, line)
        if new:
            table.writeheader()
        table.writerow(line)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, choices=STRIDES)
    parser.add_argument("--root", required=True, help="the videos, or the packed set")
    parser.add_argument("--row", required=True, choices=ROWS)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="peak learning rate; the chosen one")
    parser.add_argument("--epochs", type=int, help="the chosen number")
    parser.add_argument("--select", action="store_true", help="choose rate and epochs")
    parser.add_argument("--output", default=HERE / "results", help="folder of the tables")
    return parser.parse_args()


if __name__ == "__main__":
    main()
