"""I3D on small sets of real clips: frozen features, then its last stage fine-tuned.

    python benchmarks/finetune_i3d.py --videos VIDEOS --cache CACHE --output docs/results/i3d.csv

Everything before the last stage stays as it is, so its output is computed once per view
(`i3d_views.py`, views 0 and 1, in training and in tests) and all folds share it. Weight decay and
label smoothing are chosen on a quarter of the training groups. Start it again to continue.
"""

import argparse
import csv
import itertools
from pathlib import Path

import i3d_views
import keras_mtnet as mt
from keras_mtnet.data.groups import find_groups
from keras_mtnet.data.videos import Video

import keras
import numpy as np

VIEWS = (0, 1)
SETS = (("jhmdb", 1), ("jhmdb", 2), ("jhmdb", 3), ("weizmann", 1), ("ut_interaction", 1))
WEIGHT_DECAYS, SMOOTHINGS = (0.1, 0.3), (0.0, 0.1)
STEPS = 100  # of the classifier alone, each on all features
COLUMNS = ("set", "split", "method", "weight_decay", "smoothing", "video", "film", "label", "named")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--cache", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path, help="CSV of all test clips")
    parser.add_argument("--weights", default="kinetics400", help="of I3D")
    parser.add_argument("--epochs", type=int, default=6, help="of fine-tuning; 0 for none")
    arguments = parser.parse_args()
    rows = read(arguments.output)
    for name, split in SETS:
        if any((row["set"], row["split"]) == (name, str(split)) for row in rows):
            continue
        rows += run(name, split, arguments)
        with open(arguments.output, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    report(rows)


def run(name: str, split: int, arguments: argparse.Namespace) -> list[dict[str, str]]:
    """The rows of a set's split, of frozen features and, if asked for, of fine-tuning."""
    root, weights = arguments.videos / name, arguments.weights
    videos = i3d_views.read_all(root)
    labels = np.array([video.label for video in videos])
    classes = int(labels.max()) + 1
    views = [i3d_views.cached(videos, arguments.cache / name, view, weights) for view in VIEWS]
    features = np.stack([view["feat"].astype("float32") for view in views])
    train, test = (i3d_views.places(root, videos, split, s) for s in ("train", "test"))
    films = films_of(videos)

    keras.utils.set_random_seed(split)
    held_out = np.unique(films[train])
    held_out = np.random.default_rng(split).permutation(held_out)[: len(held_out) // 4]
    own = np.isin(films[train], held_out)
    fit_on, choose_on = train[~own], train[own]
    found = {}
    for decay, smoothing in itertools.product(WEIGHT_DECAYS, SMOOTHINGS):
        head = fit_head(features[:, fit_on], labels[fit_on], classes, decay, smoothing)
        scores = sum(head.predict_on_batch(view[choose_on]) for view in features)
        p = scores[np.arange(len(choose_on)), labels[choose_on]] / len(VIEWS)
        found[decay, smoothing] = -np.log(np.maximum(p, 1e-7)).mean()
        print(name, split, decay, smoothing, (scores.argmax(1) == labels[choose_on]).mean())
    decay, smoothing = min(found, key=found.get)
    facts = {"set": name, "split": str(split), "weight_decay": decay, "smoothing": smoothing}

    head = fit_head(features[:, train], labels[train], classes, decay, smoothing)
    scores = sum(head.predict_on_batch(view[test]) for view in features)
    rows = rows_of(facts | {"method": "frozen"}, videos, films, test, scores)
    rows += rows_of(facts | {"method": "shape"}, videos, films, test, by_shape(videos, train, test))
    if arguments.epochs:
        model = last_stage(head, weights)
        fine_tune(model, [view["map"] for view in views], labels, train, smoothing, arguments)
        scores = sum(model.predict(view["map"][test], batch_size=16, verbose=0) for view in views)
        rows += rows_of(facts | {"method": "fine-tuned"}, videos, films, test, scores)
    report(rows)
    return rows


def fit_head(
    features: np.ndarray, labels: np.ndarray, classes: int, weight_decay: float, smoothing: float
) -> keras.Model:
    """A classifier of features `(views, n, C)`: standardized, then logistic regression."""
    x = features.reshape(-1, features.shape[-1])
    y = keras.utils.to_categorical(np.tile(labels, len(features)), classes)
    standardize = keras.layers.Normalization(mean=x.mean(0), variance=x.var(0) + 1e-6)
    decay = keras.regularizers.L2(weight_decay)
    dense = keras.layers.Dense(classes, "softmax", kernel_regularizer=decay)
    model = keras.Sequential([keras.Input(x.shape[1:]), standardize, dense])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, STEPS)), loss)
    for _ in range(STEPS):
        model.train_on_batch(x, y)
    return model


def last_stage(head: keras.Model, weights: str) -> keras.Model:
    """I3D from `stage3_pool` on, with a head as its classifier; statistics stay as they are."""
    kernel, bias = head.layers[-1].get_weights()
    mean, spread = (np.ravel(x) for x in (head.layers[0].mean, head.layers[0].variance ** 0.5))
    i3d = mt.I3D(classes=len(bias), input_shape=(i3d_views.FRAMES, 224, 224, 3), dropout_rate=0.5)
    mt.weights.load_weights(i3d, mt.presets.lookup("I3D", weights))
    kernel = kernel / spread[:, None]
    i3d.get_layer("predictions").set_weights([kernel, bias - mean @ kernel])
    for layer in i3d.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return keras.Model(i3d.get_layer("stage3_pool").output, i3d.output)


def fine_tune(
    model: keras.Model,
    maps: list[np.ndarray],
    labels: np.ndarray,
    train: np.ndarray,
    smoothing: float,
    arguments: argparse.Namespace,
) -> None:
    """Trains on a random view of each clip per epoch."""
    steps = -(-len(train) // 16)
    schedule = keras.optimizers.schedules.CosineDecay(1e-4, arguments.epochs * steps)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01), loss, metrics=["accuracy"])
    y = keras.utils.to_categorical(labels[train])
    for epoch in range(arguments.epochs):
        choice = np.random.default_rng(epoch).integers(len(maps), size=len(train))
        x = np.stack([maps[view][place] for view, place in zip(choice, train, strict=True)])
        model.fit(x, y, batch_size=16, initial_epoch=epoch, epochs=epoch + 1, verbose=2)


def by_shape(videos: list[Video], train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What the videos' sizes alone tell: scores of the nearest neighbor by them."""
    shapes = []
    for video in videos:
        with video.open() as source:
            shapes.append((*source.read(np.array([0])).shape[1:3], source.frame_count))
    shapes = np.log(shapes)
    distances = np.linalg.norm(shapes[test, None] - shapes[train], axis=-1)
    labels = np.array([videos[i].label for i in train[distances.argmin(axis=1)]])
    return keras.utils.to_categorical(labels)


def films_of(videos: list[Video]) -> np.ndarray:
    """The film or person of each video; clips of one are never on both sides of a split."""
    groups, _ = find_groups((video.name, video.label) for video in videos)
    return np.array([groups[video.name] for video in videos])


def rows_of(
    facts: dict, videos: list[Video], films: np.ndarray, test: np.ndarray, scores: np.ndarray
) -> list[dict[str, str]]:
    named = scores.argmax(axis=1)
    return [
        facts
        | {"video": videos[i].name, "film": films[i], "label": videos[i].label, "named": int(n)}
        for i, n in zip(test, named, strict=True)
    ]


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def interval(right: np.ndarray, films: np.ndarray, draws: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap interval of an accuracy, films drawn with replacement.

    Fewer than ten films say nothing of others: then clips are drawn.
    """
    _, film = np.unique(films, return_inverse=True)
    film = film if film.max() >= 9 else np.arange(len(right))
    hits, counts = np.bincount(film, right), np.bincount(film)
    drawn = np.random.default_rng(0).integers(len(counts), size=(draws, len(counts)))
    low, high = np.percentile(hits[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def report(rows: list[dict[str, str]]) -> None:
    for key in dict.fromkeys((row["set"], row["split"], row["method"]) for row in rows):
        own = [row for row in rows if (row["set"], row["split"], row["method"]) == key]
        right = np.array([str(row["label"]) == str(row["named"]) for row in own])
        low, high = interval(right, np.array([row["film"] for row in own]))
        chosen = f"weight decay {own[0]['weight_decay']}, smoothing {own[0]['smoothing']}"
        print(*key, f"{right.mean():.3f} [{low:.3f}, {high:.3f}] of {len(own)} clips; {chosen}")


if __name__ == "__main__":
    main()
