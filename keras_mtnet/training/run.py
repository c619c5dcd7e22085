"""A training run: from a recipe to a run folder, and from a run folder back to its model."""

import dataclasses
import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_mtnet import __version__, plots
from keras_mtnet.data import ReadReport, Videos, clips, read_split
from keras_mtnet.data.augment import find_augment
from keras_mtnet.files import check_new_folder, write_beside, write_text
from keras_mtnet.models import build
from keras_mtnet.models.configs import find_config
from keras_mtnet.training.callbacks import BestWeights, RunHistory, Throughput
from keras_mtnet.training.devices import dtype_policy, even_batches, make_strategy
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.schedules import make_optimizer
from keras_mtnet.weights import choose_variant, load_weights


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What a trained model needs to be used right.

    Attributes:
        class_names: in label order.
        frames: frames of a clip.
        stride: every `stride`-th frame of the video is in a clip.
        size: height and width of a clip.
        recipe: how it was trained.
    """

    class_names: tuple[str, ...]
    frames: int
    stride: int
    size: int
    recipe: Recipe


def train(recipe: Recipe, logical_cpus: int = 0) -> Path:
    """Trains a network as a recipe says and writes a run folder.

    The folder holds `config.json`, `classes.txt`, `history.csv`, `curves.png`, `logs/` for
    TensorBoard, `model.keras` (the network at the end of the run), `best.weights.h5` (the epoch
    with the highest accuracy on the test clips) and, if some videos could not be read,
    `unreadable.txt`. An epoch has as many whole batches as it takes to see every video; the last
    batch is filled up from the next pass.

    Args:
        recipe: the settings. `root` and `output` must be given.
        logical_cpus: split the CPU into so many devices first, to try `strategy="mirrored"`
            without several GPUs. 0 leaves it whole.

    Returns:
        The run folder.

    Raises:
        ValueError: for settings or data that cannot be trained on.
        OSError: if the data are not there, or the output folder is taken or cannot be written.
    """
    for name in ("root", "output"):
        if not getattr(recipe, name):
            raise ValueError(f"A recipe needs {name}, a folder, to be trained. Received: {name}=''")
    output = check_new_folder(recipe.output, "a run")
    training, testing = _read_data(recipe)
    recipe = _resolve(recipe, training)
    total_steps = recipe.epochs * recipe.steps_per_epoch(len(training))
    if recipe.warmup(total_steps) >= total_steps:
        raise ValueError(
            f"The warm-up of {recipe.warmup_steps} steps is not shorter than the run: "
            f"{recipe.epochs} epochs are {total_steps} steps. Lower warmup_steps."
        )
    strategy = make_strategy(recipe.strategy, recipe.batch_size, logical_cpus)
    report = ReadReport()
    _check_readable(training, "training", recipe)
    _check_readable(testing, "test", recipe)
    keras.utils.set_random_seed(recipe.seed)
    soft = find_augment(recipe.augment).mixes  # labels are shares of classes
    metrics = keras.metrics
    accuracy = metrics.CategoricalAccuracy if soft else metrics.SparseCategoricalAccuracy
    with dtype_policy(recipe.precision), strategy.scope():
        model = _model(recipe, len(training.class_names), strategy.num_replicas_in_sync)
        model.compile(
            make_optimizer(recipe, total_steps),
            loss="categorical_crossentropy" if soft else "sparse_categorical_crossentropy",
            # An object, and the optimizer built: variables that are first made while the step is
            # traced make TensorFlow trace it twice.
            weighted_metrics=[accuracy(name="accuracy")],
        )
        model.optimizer.build(model.trainable_variables)
    _start_folder(output, recipe, training.class_names)
    _say_plan(recipe, training, testing, total_steps, strategy)
    _fit(model, recipe, training, testing, report, strategy.num_replicas_in_sync)
    with write_beside(output / "model.keras") as beside:
        # For use, so without the optimizer: half the file, and no need of this module to load it.
        keras.Model(model.inputs, model.outputs, name=model.name).save(beside)
    if report.summary():
        write_text(output / "unreadable.txt", report.summary() + "\n")
        print(report.summary(), flush=True)
    return output


def load_run(path: str | os.PathLike, best: bool = False) -> tuple[keras.Model, RunConfig]:
    """Loads what `train` wrote.

    Args:
        path: the run folder.
        best: take `best.weights.h5` instead of the weights at the end of the run. They were chosen
            by their accuracy on the test clips, which flatters them on just those.

    Returns:
        The network, not compiled, and its `RunConfig`.

    Raises:
        FileNotFoundError: if this is not the folder of a finished run.
    """
    path = Path(path)
    for name in ("config.json", "classes.txt", "model.keras"):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{path} is not the folder of a finished run: it holds no {name}."
            )
    model = keras.models.load_model(path / "model.keras", compile=False)
    if best:
        model.load_weights(path / "best.weights.h5")
    values = json.loads((path / "config.json").read_text(encoding="utf-8"))["recipe"]
    recipe = Recipe.from_json(json.dumps(values))
    names = tuple((path / "classes.txt").read_text(encoding="utf-8").splitlines())
    return model, RunConfig(names, recipe.frames, recipe.stride, recipe.size, recipe)


# --- Before the first step ---------------------------------------------------------------------


def _read_data(recipe: Recipe) -> tuple[Videos, Videos]:
    """The videos to train and to test on, checked for what a list promises."""
    parts = []
    for subset in ("train", "test"):
        videos = read_split(
            recipe.data, recipe.root, recipe.annotations, recipe.split, subset, seed=recipe.seed
        )
        check_missing(videos, recipe.skip_missing)
        parts.append(videos)
    return parts[0], parts[1]


def check_missing(videos: Videos, skip_missing: bool) -> None:
    """Raises FileNotFoundError if videos are missing which the list names, unless told to skip."""
    if videos.missing and not skip_missing:
        names = ", ".join(videos.missing[:3])
        more = f" and {len(videos.missing) - 3} more" if len(videos.missing) > 3 else ""
        raise FileNotFoundError(
            f"{len(videos.missing)} of {len(videos) + len(videos.missing)} listed videos are "
            f"missing: {names}{more}. Add them, or go on without them by skip_missing."
        )


def _resolve(recipe: Recipe, training: Videos) -> Recipe:
    """Fills in what the recipe leaves to the data and the model."""
    variant = choose_variant(recipe.model, recipe.variant, recipe.weights)
    config = find_config(recipe.model, variant)
    steps = recipe.epochs * recipe.steps_per_epoch(len(training))
    return recipe.replace(
        variant=variant,
        stride=recipe.stride or training.stride,
        size=recipe.size or config.size,
        learning_rate=recipe.peak_rate,
        warmup_steps=recipe.warmup(steps),
    )


def _check_readable(videos: Videos, part: str, recipe: Recipe) -> None:
    """Raises ValueError unless at least one video can be read: a run of nothing never ends."""
    if not videos:
        raise ValueError(f"There is no {part} video: every class needs at least two videos.")
    report = ReadReport()
    sizes = {"frames": recipe.frames, "stride": recipe.stride, "size": recipe.size}
    first = clips(videos, **sizes, batch_size=1, report=report).take(1)
    if not list(first):
        name, reason = next(iter(report.failed.items()))
        raise ValueError(
            f"None of the {len(videos)} {part} videos can be read, e.g. {name}: {reason}"
        )


def _model(recipe: Recipe, classes: int, replicas: int) -> keras.Model:
    model = build(
        recipe.model,
        classes=classes,
        input_shape=(recipe.frames, recipe.size, recipe.size, 3),
        synchronized=replicas > 1,
        **recipe.model_options(),
    )
    if recipe.weights:
        new = load_weights(model, recipe.weights)
        made_new = f"; made new for {classes} classes: {', '.join(new)}" if new else ""
        print(f"Weights from {recipe.weights}{made_new}.", flush=True)
    return model


def _start_folder(output: Path, recipe: Recipe, class_names: tuple[str, ...]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    versions = {
        "keras_mtnet": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    config = {"recipe": dataclasses.asdict(recipe), "versions": versions}
    write_text(output / "config.json", json.dumps(config, indent=2) + "\n")
    write_text(output / "classes.txt", "".join(f"{name}\n" for name in class_names))


def _say_plan(
    recipe: Recipe,
    training: Videos,
    testing: Videos,
    total_steps: int,
    strategy: tf.distribute.Strategy,
) -> None:
    size = f"{recipe.frames}x{recipe.size}x{recipe.size}, stride {recipe.stride}"
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    print(
        f"{recipe.model} on {len(training)} videos of {len(training.class_names)} classes, "
        f"tested on {len(testing)}: clips of {size}.\n"
        f"{recipe.epochs} epochs, {total_steps} steps of {recipe.batch_size} clips, on "
        f"{strategy.num_replicas_in_sync} {kind} in {recipe.precision}; learning rate "
        f"{recipe.peak_rate:g} after {recipe.warmup_steps} steps of warm-up.",
        flush=True,
    )
    if recipe.backbone_rate != 1:
        print(
            f"All but the classifier learn at {recipe.backbone_rate:g} of that rate."
            if recipe.weights
            else "No weights to start from: the whole network learns at the full rate.",
            flush=True,
        )


# --- The run -----------------------------------------------------------------------------------


def _fit(
    model: keras.Model,
    recipe: Recipe,
    training: Videos,
    testing: Videos,
    report: ReadReport,
    devices: int,
) -> None:
    sizes = {"frames": recipe.frames, "stride": recipe.stride, "size": recipe.size}
    common = {**sizes, "batch_size": recipe.batch_size, "report": report}
    options = {"training": True, "repeat": True, "seed": recipe.seed, "augment": recipe.augment}
    stream = clips(training, **options, **common)
    tests = clips(testing, one_hot=find_augment(recipe.augment).mixes, **common)
    with warnings.catch_warnings():
        # Unreadable files make the length of the test set unknown, and Keras warns at its end.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        model.fit(
            even_batches(stream, devices),
            validation_data=even_batches(tests, devices, len(testing)),
            epochs=recipe.epochs,
            steps_per_epoch=recipe.steps_per_epoch(len(training)),
            shuffle=False,  # the data set does it
            callbacks=_callbacks(recipe),
            verbose=1 if sys.stdout.isatty() else 2,
        )


def _callbacks(recipe: Recipe) -> list[keras.callbacks.Callback]:
    output = Path(recipe.output)
    callbacks: list[Any] = [
        Throughput(recipe.batch_size),
        BestWeights(output / "best.weights.h5"),
        RunHistory(output, pictures=plots.available()),
    ]
    if not plots.available():
        print('No pictures without matplotlib: pip install "keras-mtnet[plots]"')
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(str(output / "logs"), write_graph=False))
    else:
        print('No TensorBoard logs without its package: pip install "keras-mtnet[tensorboard]"')
    return callbacks
