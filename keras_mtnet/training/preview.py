"""Dry runs: settings, schedule and expected time of a run before it starts."""

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_mtnet import plots
from keras_mtnet.training.devices import dtype_policy, make_strategy
from keras_mtnet.training.distributed import Workers
from keras_mtnet.training.plan import Epoch, phases, total_steps
from keras_mtnet.training.preparation import compile_model, make_model
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.run import Run
from keras_mtnet.training.run_folder import check_output
from keras_mtnet.training.schedules import make_optimizer

_TIMED_STEPS = 3


def dry_run(recipe: Recipe, picture: str | None = None, logical_cpus: int = 0) -> str:
    """Says what `train` would do, and how long its steps would take; trains and writes no run.

    The time is that of a few steps of the recipe's own shape, or of reading their clips if that is
    slower, times all steps. With multigrid all steps have about the same arithmetic. The
    validations come on top.

    Args:
        recipe: as for `train`.
        picture: file for a picture of the learning rate and the batches; None for none.
        logical_cpus: as for `train`.

    Returns:
        The settings as they would be used, the epochs and the time, as text.

    Raises:
        ValueError, OSError: as `train` would.
    """
    if recipe.strategy == "multi_worker":
        raise ValueError("strategy='multi_worker' cannot be tried alone: use 'none' for that.")
    check_output(recipe, resume=False)
    run = Run(recipe, Workers(), continues=False)
    rates = learning_rates(run.recipe, run.epochs)
    if picture:
        plots.schedule(rates, run.epochs, picture)
    step, reading = time_a_step(run, logical_cpus)
    steps, videos = total_steps(run.epochs), (run.training, run.validation)
    lines = [
        run.recipe.to_json(),
        f"{len(run.training)} training and {len(run.validation)} validation videos of "
        f"{len(run.training.class_names)} classes, {sum(len(v.missing) for v in videos)} missing",
        *describe(run.epochs),
        f"learning rate {rates[0]:g} at the start, at most {max(rates):g}, {rates[-1]:g} last",
        *([f"The schedule is drawn in {picture}"] if picture else []),
        f"A step takes {step:.3g} s and reading its clips {reading:.3g} s: the {steps} steps about "
        f"{duration(steps * max(step, reading))}, and the validations on top.",
    ]
    return "\n".join(lines)


def describe(epochs: Sequence[Epoch]) -> list[str]:
    """A line for each stretch of epochs of one shape."""
    lines = []
    for part in phases(epochs):
        first, last, epoch = part[0].number + 1, part[-1].number + 1, part[0]
        which = f"epoch {first}" if first == last else f"epochs {first}-{last}"
        lines.append(
            f"{which}: {sum(epoch.steps for epoch in part)} steps of {epoch.batch_size} clips of "
            f"{epoch.frames}x{epoch.size}x{epoch.size} at stride {epoch.stride}"
            + (f", rate x {epoch.rate:g}" * (epoch.rate != 1))
        )
    return lines


def learning_rates(recipe: Recipe, epochs: Sequence[Epoch]) -> list[float]:
    """The learning rate of every step."""
    rate = make_optimizer(recipe, epochs).get_config()["learning_rate"]
    schedule = keras.optimizers.schedules.deserialize(rate)
    steps = np.arange(total_steps(epochs))
    # A million steps need not be computed to see a curve.
    shown = np.unique(np.concatenate([steps[:: max(1, len(steps) // 2000)], steps[-1:]]))
    found = [float(schedule(int(step))) for step in shown]
    return np.interp(steps, shown, found).tolist()


def time_a_step(run: Run, logical_cpus: int) -> tuple[float, float]:
    """Seconds of a training step, and of reading its clips, in the run's full shape."""
    recipe = run.recipe
    strategy = make_strategy(recipe.strategy, recipe.batch_size, logical_cpus)
    with dtype_policy(recipe.precision), strategy.scope():
        model = make_model(recipe, run.training, strategy.num_replicas_in_sync)
        compile_model(model, recipe, run.epochs)
    stream = run.batches(run.epochs[-1]).take(_TIMED_STEPS + 2)  # with multigrid too
    begin, read, first = time.perf_counter(), 0, None
    for batch in stream:  # one at a time: a large one may take a gigabyte
        read, first = read + 1, first or batch
    reading = (time.perf_counter() - begin) / read
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    repeated = stream.from_tensors(first).repeat(_TIMED_STEPS + 2)
    model.fit(repeated, shuffle=False, verbose=0, callbacks=[clock])
    # The first step is traced and the second may still be warming up.
    return float(np.median(np.diff(ends)[1:])), reading


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(40), duration(12600)
    ('40 s', '3.5 h')
    """
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def default_picture(output: str) -> str | None:
    """Beside the folder of the run, which must not be there yet; None without matplotlib."""
    path = Path(output).absolute()
    return str(path.with_name(f"{path.name}_schedule.png")) if plots.available() else None
