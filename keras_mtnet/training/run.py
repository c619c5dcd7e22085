"""A training run: from a recipe to a run folder, at once or in as many parts as it takes."""

import importlib.util
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_mtnet import plots
from keras_mtnet.data import ReadReport, Videos, clips, read_split
from keras_mtnet.data.augment import find_augment
from keras_mtnet.files import check_new_folder, write_beside, write_text
from keras_mtnet.models import build
from keras_mtnet.models.builder import default_clip
from keras_mtnet.presets import lookup
from keras_mtnet.training import checkpoint
from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.devices import (
    dtype_policy,
    gpu_capability,
    make_strategy,
    resolve_precision,
)
from keras_mtnet.training.keeping import KeepPlace, StopAtNaN
from keras_mtnet.training.multi_worker import EXACT, ExactLoss, Workers, join
from keras_mtnet.training.optimizer import make_optimizer
from keras_mtnet.training.plan import Epoch, plan
from keras_mtnet.training.progress import InputClock, Progress, Throughput
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.records import BestWeights, RunHistory, TensorBoardLogs
from keras_mtnet.training.run_folder import about_run, check_same_run, start_folder
from keras_mtnet.weights import load_weights

# Fewer videos than these do not teach a network what motion looks like; UCF-101 has 9,537.
_SMALL_SET = 20_000


def train(recipe: Recipe, resume: bool = False, logical_cpus: int = 0) -> Path:
    """Trains a network as a recipe says and writes a run folder.

    The folder holds `config.json`, `classes.txt`, `history.csv`, `curves.png`, `logs/` for
    TensorBoard, `checkpoints/`, `model.keras` (the network at the end of the run),
    `best.weights.h5` (the epoch with the highest accuracy on the test clips) and, if there are
    such, `missing.txt` and `unreadable.txt` with videos that were not on disk or could not be read.
    An epoch has as many whole batches as it takes to see every video; the last batch is filled up
    from the next pass.

    A run that was stopped, at any moment, goes on with `resume` from its last checkpoint as if
    nothing had happened: with the very next batch, and to the same weights, bit for bit, where the
    operations themselves are `deterministic`.

    Args:
        recipe: the settings. `root` and `output` must be given.
        resume: go on with the run in `output`, if there is one. Settings and videos must be those
            that it began with.
        logical_cpus: split the CPU into so many devices first, to try `strategy="mirrored"`
            without several GPUs. 0 leaves it whole.

    Returns:
        The run folder.

    Raises:
        ValueError: for settings or data that cannot be trained on, or that are not those of the
            run to go on with.
        OSError: if the data are not there, or the output folder is taken or cannot be written.
        ConnectionError: if the workers of a run do not find, or lose, each other.
        FloatingPointError: if the loss is no number any more.
        KeyboardInterrupt: after SIGINT or SIGTERM, with a checkpoint of the last step.
    """
    check_folders(recipe)
    workers = join(recipe)
    with workers.together():
        return _train(recipe, resume, logical_cpus, workers)


def _train(recipe: Recipe, resume: bool, logical_cpus: int, workers: Workers) -> Path:
    output = Path(recipe.output)
    resume = resume and (output / "config.json").is_file()
    if not resume and workers.is_chief:
        check_new_folder(output, "a run")
    training, testing = read_data(recipe)
    recipe = resolve(recipe, training)
    epochs = plan(recipe, len(training))
    check_warmup(recipe, epochs)
    kept = checkpoint.checkpoints(output / checkpoint.FOLDER) if resume else []
    workers.check_same(
        about_run(recipe, training, testing),
        {"output folder": {"holds a run": resume, "checkpoints": [path.name for path in kept]}},
    )
    if resume:
        check_same_run(output, recipe, training, testing)
        if (output / "model.keras").is_file():
            print(f"The run in {output} is finished already.", flush=True)
            return output
    strategy = make_strategy(
        "none" if workers.connected else recipe.strategy, recipe.batch_size, logical_cpus
    )
    report = ReadReport()
    _check_readable(training, "training", recipe)
    _check_readable(testing, "test", recipe)
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
    with dtype_policy(recipe.precision), strategy.scope():
        model = make_model(recipe, training, strategy.num_replicas_in_sync, fresh=not kept)
        compile_model(model, recipe, epochs)
    state = _restore(kept, model) if kept else RunState()
    workers.check_same({"checkpoint": {"step": state.step}})
    if workers.is_chief:
        if not resume:
            start_folder(output, recipe, training, testing)
        _say_plan(recipe, training, testing, epochs, strategy, workers)
        _say_missing(output, (*training.missing, *testing.missing))
    devices = strategy.num_replicas_in_sync
    _fit(model, recipe, training, testing, epochs, state, report, devices, workers)
    _finish(model, recipe, output, workers)
    for other in workers.gather([report.failed, report.damaged]):
        report.failed.update(other[0])
        report.damaged.update(other[1])
    if report.summary() and workers.is_chief:
        write_text(output / "unreadable.txt", report.summary() + "\n")
        print(report.summary(), flush=True)
    return output


# --- Before the first step ---------------------------------------------------------------------


def check_folders(recipe: Recipe) -> None:
    """Raises ValueError if a recipe does not say where its videos are, or where to write."""
    for name in ("root", "output"):
        if not getattr(recipe, name):
            raise ValueError(f"A recipe needs {name}, a folder, to be trained. Received: {name}=''")


def read_data(recipe: Recipe) -> tuple[Videos, Videos]:
    """The videos to train and to test on."""
    training, testing = (
        read_split(recipe.data, recipe.root, recipe.annotations, recipe.split, subset)
        for subset in ("train", "test")
    )
    for part, videos in (("training", training), ("test", testing)):
        if not videos:
            raise ValueError(f"There is no {part} video: every class needs at least two videos.")
    return training, testing


def resolve(recipe: Recipe, training: Videos) -> Recipe:
    """Fills in what the recipe leaves to the data, the model and the machine."""
    preset = lookup(recipe.model, recipe.weights)
    variant = recipe.variant or (preset and preset.options.get("variant"))
    recipe = recipe.replace(
        variant=variant,
        stride=recipe.stride or training.stride,
        size=recipe.size or default_clip(recipe.model, recipe.weights)[1],
        learning_rate=recipe.peak_rate,
        precision=resolve_precision(recipe.precision),
    )
    last = plan(recipe, len(training))[-1]
    return recipe.replace(warmup_steps=recipe.warmup(last.first_step + last.steps))


def check_warmup(recipe: Recipe, epochs: Sequence[Epoch]) -> None:
    """Raises ValueError if a run is too short for its warm-up, or for one update."""
    total = epochs[-1].first_step + epochs[-1].steps
    if recipe.accumulate > total:
        raise ValueError(
            f"accumulate={recipe.accumulate} steps make one update, and the run has {total}."
        )
    if recipe.warmup_steps >= total:
        raise ValueError(
            f"The warm-up of {recipe.warmup_steps} steps is not shorter than the run: "
            f"{recipe.epochs} epochs are {total} steps. Lower warmup_steps."
        )


def _check_readable(videos: Videos, part: str, recipe: Recipe) -> None:
    """Raises ValueError unless at least one video can be read: a run of nothing never ends."""
    report = ReadReport()
    sizes = {"frames": recipe.frames, "stride": recipe.stride, "size": recipe.size}
    views = clips(videos, **sizes, batch_size=1, report=report, sample_weights=True)
    try:
        readable = any(weight.any() for _, _, weight in views.as_numpy_iterator())
    except tf.errors.InvalidArgumentError:  # none of them
        readable = False
    if not readable:
        name, reason = next(iter(report.failed.items()))
        raise ValueError(
            f"None of the {len(videos)} {part} videos can be read, e.g. {name}: {reason}"
        )


def make_model(recipe: Recipe, training: Videos, replicas: int, fresh: bool = True) -> keras.Model:
    """The network of a recipe.

    Args:
        recipe: resolved.
        training: what it is to name.
        replicas: devices that it is trained on together.
        fresh: whether it begins with the weights of the recipe.
    """
    classes = len(training.class_names)
    # With multigrid, clips have many shapes.
    shape = (None,) * 3 if recipe.multigrid else (recipe.frames, recipe.size, recipe.size)
    model = build(
        recipe.model,
        classes=classes,
        input_shape=(*shape, 3),
        synchronized=replicas > 1 and recipe.batch_norm == "synchronised",
        **recipe.model_options(),
    )
    if recipe.batch_norm == "frozen":
        for layer in _layers_within(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    if recipe.weights and fresh:
        new = load_weights(model, recipe.weights)
        made_new = f"; made new for {classes} classes: {', '.join(new)}" if new else ""
        print(f"Weights from {recipe.weights}{made_new}.", flush=True)
    return model


def _layers_within(layer: keras.Layer) -> list[keras.Layer]:
    """All layers inside a layer, at any depth."""
    found: dict[int, keras.Layer] = {}
    waiting = list(vars(layer).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            waiting += vars(value).values()
    return list(found.values())


def soft_labels(recipe: Recipe) -> bool:
    """Whether labels are shares of classes."""
    return find_augment(recipe.augment).mixes or recipe.label_smoothing > 0


def label_mode(recipe: Recipe) -> str:
    """The labels that the loss of a recipe takes."""
    return "categorical" if soft_labels(recipe) else "int"


def compile_model(model: keras.Model, recipe: Recipe, epochs: Sequence[Epoch]) -> None:
    """Gives a model its optimizer, loss and metric, with all their variables.

    Variables that are first made while the step is traced make TensorFlow trace it twice, and
    cannot be restored before.
    """
    losses, metrics = keras.losses, keras.metrics
    # Among workers a batch is filled up with weightless clips, which must not count.
    workers = recipe.strategy == "multi_worker"
    how = {"reduction": "mean_with_sample_weight"} if workers else {}
    if soft_labels(recipe):
        smoothing = {"label_smoothing": recipe.label_smoothing}
        loss = losses.CategoricalCrossentropy(**smoothing, **how)
        watched = [metrics.CategoricalAccuracy(name="accuracy")]
        exact = metrics.CategoricalCrossentropy(name=EXACT, **smoothing)
    else:
        loss = losses.SparseCategoricalCrossentropy(**how)
        watched = [metrics.SparseCategoricalAccuracy(name="accuracy")]
        exact = metrics.SparseCategoricalCrossentropy(name=EXACT)
    if workers:
        watched.append(exact)
    stages = len({v.path[:6] for v in model.variables if v.path.startswith("stage")})
    model.compile(make_optimizer(recipe, epochs, stages), loss=loss, weighted_metrics=watched)
    model.optimizer.build(model.trainable_variables)
    classes = model.output_shape[-1]
    scores = np.full((1, classes), 1 / classes, "float32")
    labels = scores if soft_labels(recipe) else np.zeros((1,), "int32")
    model.compute_metrics(None, labels, scores)
    model.reset_metrics()


def _restore(kept: Sequence[Path], model: keras.Model) -> RunState:
    """What the newest whole checkpoint says; damaged ones are named and passed over."""
    for path in kept:
        try:
            state = checkpoint.restore_checkpoint(path, model)
        except checkpoint.CheckpointError as error:
            if path == kept[-1]:
                raise
            print(f"Warning: {error}. Going on from the one before.", flush=True)
            continue
        print(f"Going on after step {state.step}, in epoch {state.epoch + 1}.", flush=True)
        return state
    raise AssertionError("there is a checkpoint")


def _say_plan(
    recipe: Recipe,
    training: Videos,
    testing: Videos,
    epochs: Sequence[Epoch],
    strategy: tf.distribute.Strategy,
    workers: Workers,
) -> None:
    size = f"{recipe.frames}x{recipe.size}x{recipe.size}, stride {recipe.stride}"
    kind = "GPU" if gpu_capability() else "CPU"
    devices = strategy.num_replicas_in_sync
    if workers.connected:
        devices = keras.distribution.get_device_count()
    total = epochs[-1].first_step + epochs[-1].steps
    batch = "up to " * recipe.multigrid + str(max(epoch.batch_size for epoch in epochs))
    print(
        f"{recipe.model} on {len(training)} videos of {len(training.class_names)} classes, "
        f"tested on {len(testing)}: clips of {size}.\n"
        f"{recipe.epochs} epochs, {total} steps of {batch} clips, on "
        f"{devices} {kind} in {recipe.precision}; learning rate "
        f"{recipe.peak_rate:g} after {recipe.warmup_steps} steps of warm-up.",
        flush=True,
    )
    if workers.connected:
        print(
            f"{workers.count} workers. If one is lost, all end within two minutes; start all again "
            "with resume.",
            flush=True,
        )
    if recipe.backbone_rate != 1:
        print(
            f"All but the classifier learn at {recipe.backbone_rate:g} of that rate."
            if recipe.weights
            else "No weights to start from: the whole network learns at the full rate.",
            flush=True,
        )
    if not recipe.weights and len(training) < _SMALL_SET:
        print(
            f"Warning: training from scratch on {len(training)} videos. From scratch, published "
            "networks reach 40-55 % on sets as UCF-101 (9,537 videos), against 90 % and more from "
            "weights of a large set: see --weights.",
            flush=True,
        )


def _say_missing(output: Path, missing: Sequence[str]) -> None:
    """Counts videos that the lists name and the disk lacks, and lists them in `missing.txt`."""
    if missing:
        write_text(output / "missing.txt", "".join(f"{name}\n" for name in missing))
        print(
            f"Warning: {len(missing)} listed videos are missing, e.g. {', '.join(missing[:3])}; "
            f"the run goes on without them. All: {output / 'missing.txt'}",
            flush=True,
        )


# --- The run -----------------------------------------------------------------------------------


def _fit(
    model: keras.Model,
    recipe: Recipe,
    training: Videos,
    testing: Videos,
    epochs: Sequence[Epoch],
    state: RunState,
    report: ReadReport,
    devices: int,
    workers: Workers,
) -> None:
    """Trains from where the run stands to its end, an epoch a `fit`."""
    common = {
        "report": report,
        "label_mode": label_mode(recipe),
        "part": workers.part,
        "sample_weights": devices > 1 or workers.connected,
    }
    sizes = {"frames": recipe.frames, "stride": recipe.stride, "size": recipe.size}
    tests = clips(testing, batch_size=recipe.batch_size, **sizes, **common)
    clock = InputClock() if devices == 1 else None
    callbacks, place = _callbacks(model, recipe, training, epochs, state, report, clock, workers)
    steps_by_shape: dict[tuple[int, ...], object] = {}
    with place.stopping_at_signals():
        for epoch in epochs[state.epoch :]:
            stream = epoch_stream(training, recipe, epoch, state, common)
            shape = (epoch.frames, epoch.size)  # batches may be smaller by unreadable videos
            # A function for each shape: Keras' own would be traced once more for shapes that are
            # unknown, and be half as fast.
            model.train_function = steps_by_shape.get(shape)
            with warnings.catch_warnings():
                # Unreadable files make the length of the sets unknown; Keras warns at their end.
                warnings.filterwarnings("ignore", message="Your input ran out of data")
                model.fit(
                    clock.watch(stream) if clock else stream,
                    validation_data=tests,
                    # TensorFlow finds the end of a set in the middle of a step, which it counts.
                    steps_per_epoch=(epoch.end_sample - state.sample) // epoch.batch_size,
                    initial_epoch=epoch.number,
                    epochs=epoch.number + 1,
                    shuffle=False,  # the data set does it
                    callbacks=callbacks,
                    verbose=0,
                )
            steps_by_shape[shape] = model.train_function


def epoch_stream(
    training: Videos, recipe: Recipe, epoch: Epoch, state: RunState, common: dict[str, object]
) -> tf.data.Dataset:
    """The batches of an epoch from where the run stands."""
    batches = clips(
        training,
        frames=epoch.frames,
        stride=epoch.stride,
        size=epoch.size,
        batch_size=epoch.batch_size,
        training=True,
        seed=recipe.seed,
        augment=recipe.augment,
        **common,
    )
    done = (state.sample - epoch.first_sample) // epoch.batch_size
    batches.position.epoch, batches.position.skip = epoch.number, done
    return batches.skip(done) if done else batches


def _callbacks(
    model: keras.Model,
    recipe: Recipe,
    training: Videos,
    epochs: Sequence[Epoch],
    state: RunState,
    report: ReadReport,
    clock: InputClock | None,
    workers: Workers,
) -> tuple[list[keras.callbacks.Callback], KeepPlace]:
    """What a run does beside its steps, in the order in which it has to be done."""
    output = Path(recipe.output)
    kept = output / checkpoint.FOLDER
    throughput = Throughput(epochs, clock)
    place = KeepPlace(
        kept,
        state,
        epochs,
        report,
        steps=recipe.checkpoint_steps,
        minutes=recipe.checkpoint_minutes,
        keep=recipe.keep_checkpoints,
        metrics=[keras.ops.convert_to_numpy(v) for v in model.metrics_variables],
        workers=workers,
    )
    found: list[keras.callbacks.Callback] = [ExactLoss()] if workers.connected else []
    found += [StopAtNaN(state, epochs, training, recipe.seed, kept), throughput]
    average = [keras.callbacks.SwapEMAWeights()] if recipe.ema else []
    if not workers.is_chief:
        return [*found, *average, place], place
    checkpoint.clean(kept)
    found += [
        Progress(epochs, throughput, state),
        BestWeights(output / "best.weights.h5", state, workers),
        RunHistory(output, state, pictures=plots.available()),
    ]
    found += average
    if not plots.available():
        print('No pictures without matplotlib: pip install "keras-mtnet[plots]"')
    if importlib.util.find_spec("tensorboard"):
        some = {"frames": recipe.frames, "stride": recipe.stride, "size": recipe.size}
        found.append(TensorBoardLogs(output / "logs", lambda: _first_clips(training, recipe, some)))
    else:
        print('No TensorBoard logs without its package: pip install "keras-mtnet[tensorboard]"')
    if recipe.wandb:
        found.append(_wandb(recipe))
    return [*found, place], place


def _first_clips(training: Videos, recipe: Recipe, sizes: dict[str, int]) -> np.ndarray | None:
    options = {"training": True, "seed": recipe.seed, "augment": recipe.augment}
    options["label_mode"] = label_mode(recipe)
    first = clips(training, batch_size=4, **sizes, **options).take(1)
    return next((x for x, _ in first.as_numpy_iterator()), None)


def _wandb(recipe: Recipe) -> keras.callbacks.Callback:
    try:
        import wandb
        from wandb.integration.keras import WandbMetricsLogger
    except ImportError as error:
        raise ImportError(
            'wandb needs its package. Run: pip install "keras-mtnet[wandb]"'
        ) from error
    # The same name goes on with the same report.
    name = os.path.basename(os.path.abspath(recipe.output))
    wandb.init(project=recipe.wandb, id=name, resume="allow")
    return WandbMetricsLogger()


def _finish(model: keras.Model, recipe: Recipe, output: Path, workers: Workers) -> None:
    """Writes the network for use: without its optimizer, for clips of the recipe's shape."""
    if recipe.ema:
        inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        inner.average_at_end = True
        inner.finalize_variable_values(model.trainable_variables)
    if not workers.is_chief:
        return
    with workers.alone(), dtype_policy(recipe.precision):
        final = build(
            recipe.model,
            classes=model.output_shape[-1],
            input_shape=(recipe.frames, recipe.size, recipe.size, 3),
            **recipe.model_options(),
        )
        final.set_weights(model.get_weights())
    with write_beside(output / "model.keras") as beside:
        final.save(beside)
