"""A run before it is run: its settings, its schedule, how long it may take."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_mtnet import plots
from keras_mtnet.data import Videos
from keras_mtnet.files import check_new_folder
from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.devices import dtype_policy, make_strategy
from keras_mtnet.training.optimizer import make_optimizer
from keras_mtnet.training.plan import Epoch, plan
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.run import (
    check_folders,
    check_warmup,
    compile_model,
    epoch_stream,
    label_mode,
    make_model,
    read_data,
    resolve,
)

_TIMED_STEPS = 3


def dry_run(recipe: Recipe, picture: str | None = None, logical_cpus: int = 0) -> None:
    """Prints what `train` would do, and how long its steps would take; trains and writes no run.

    The time is that of a few steps of the recipe's own shape, or of reading their clips if that is
    slower, times all steps. With multigrid all steps have about the same arithmetic. The tests
    after each epoch come on top.

    Args:
        recipe: as for `train`.
        picture: file for a picture of the learning rate and the batches, where matplotlib is
            installed; None for none.
        logical_cpus: as for `train`.

    Raises:
        ValueError, OSError: as `train` would.
    """
    check_folders(recipe)
    check_new_folder(recipe.output, "a run")
    training, testing = read_data(recipe)
    recipe = resolve(recipe, training)
    epochs = plan(recipe, len(training))
    check_warmup(recipe, epochs)
    print(recipe.to_json())
    print(
        f"{len(training)} training and {len(testing)} test videos of "
        f"{len(training.class_names)} classes, {len(training.missing) + len(testing.missing)} "
        "missing"
    )
    print("\n".join(phases(epochs)), flush=True)
    rates = learning_rates(recipe, epochs)
    print(f"learning rate {rates[0]:g} at the start, at most {max(rates):g}, {rates[-1]:g} last")
    if picture:
        plots.schedule(rates, epochs, picture)
        print(f"The schedule is drawn in {picture}", flush=True)
    step, reading = time_a_step(recipe, training, epochs, logical_cpus)
    steps = epochs[-1].first_step + epochs[-1].steps
    print(
        f"A step takes {step:.3g} s and reading its clips {reading:.3g} s: the {steps} steps about "
        f"{duration(steps * max(step, reading))}, and the tests after each epoch on top."
    )


def phases(epochs: Sequence[Epoch]) -> list[str]:
    """A line for each stretch of epochs of one shape."""

    def shape(epoch: Epoch) -> tuple:
        return epoch.batch_size, epoch.frames, epoch.stride, epoch.size, epoch.rate

    lines = []
    for (batch_size, frames, stride, size, rate), group in itertools.groupby(epochs, shape):
        same = list(group)
        first, last = same[0].number + 1, same[-1].number + 1
        which = f"epoch {first}" if first == last else f"epochs {first}-{last}"
        lines.append(
            f"{which}: {sum(epoch.steps for epoch in same)} steps of {batch_size} clips of "
            f"{frames}x{size}x{size} at stride {stride}" + (f", rate x {rate:g}" * (rate != 1))
        )
    return lines


def learning_rates(recipe: Recipe, epochs: Sequence[Epoch]) -> list[float]:
    """The learning rate of every step."""
    optimizer = make_optimizer(recipe, epochs)
    rate = optimizer.get_config()["learning_rate"]
    schedule = keras.optimizers.schedules.deserialize(rate)
    steps = np.arange(epochs[-1].first_step + epochs[-1].steps)
    # A million steps need not be computed to see a curve.
    shown = np.unique(np.concatenate([steps[:: max(1, len(steps) // 2000)], steps[-1:]]))
    found = [float(schedule(int(step))) for step in shown]
    return np.interp(steps, shown, found).tolist()


def time_a_step(
    recipe: Recipe, training: Videos, epochs: Sequence[Epoch], logical_cpus: int
) -> tuple[float, float]:
    """Seconds of a training step, and of reading its clips, in the run's full shape."""
    strategy = make_strategy(recipe.strategy, recipe.batch_size, logical_cpus)
    with dtype_policy(recipe.precision), strategy.scope():
        model = make_model(recipe, training, strategy.num_replicas_in_sync)
        compile_model(model, recipe, epochs)
    plain = epochs[-1]  # with multigrid too
    stream = epoch_stream(
        training,
        recipe,
        plain,
        RunState(sample=plain.first_sample),
        {
            "label_mode": label_mode(recipe),
            "sample_weights": strategy.num_replicas_in_sync > 1,
        },
    ).take(_TIMED_STEPS + 2)
    begin, read, first = time.perf_counter(), 0, None
    for batch in stream:  # one at a time: a large one may take a gigabyte
        read, first = read + 1, first or batch
    if first is None:
        raise ValueError("None of the first training videos can be read.")
    reading = (time.perf_counter() - begin) / read
    clock = _StepClock()
    repeated = stream.from_tensors(first).repeat(_TIMED_STEPS + 2)
    model.fit(
        repeated,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )
    # The first step is traced and the second may still find its feet.
    return float(np.median(np.diff(clock.ends)[1:])), reading


class _StepClock(keras.callbacks.Callback):
    """When the steps ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.ends.append(time.perf_counter())


def duration(seconds: float) -> str:
    """A time in words: 40 s, 12 min, 3.5 h or 2.1 days."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def default_picture(output: str) -> str | None:
    """Beside the folder of the run, which must not be there yet."""
    path = Path(output).absolute()
    return str(path.with_name(f"{path.name}_schedule.png")) if plots.available() else None
