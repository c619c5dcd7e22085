"""A training run: from a recipe to a run folder, at once or in as many parts as it takes.

Everything that a run does is a data set, an optimizer or a callback that a user's own `fit` can
have, too; this module puts them together.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from keras_mtnet.callbacks import BestWeights, ExactResume, StopOnNaN, Throughput
from keras_mtnet.callbacks.checkpoint import find_checkpoints
from keras_mtnet.data import ReadReport, Videos, clips
from keras_mtnet.files import write_beside, write_text
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.training.devices import dtype_policy, gpu_capability, make_strategy
from keras_mtnet.training.distributed import Workers, WorkersResume, join, weigh_by_real_clips
from keras_mtnet.training.logs import log_callbacks
from keras_mtnet.training.plan import Epoch, phases, plan, total_steps
from keras_mtnet.training.preparation import (
    build_model,
    check_readable,
    compile_model,
    make_model,
    read_videos,
    resolve,
)
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.run_folder import (
    CHECKPOINTS,
    about_run,
    check_output,
    check_same_run,
    start_folder,
)

# Fewer videos than these do not teach a network what motion looks like; UCF-101 has 9,537.
_SMALL_SET = 20_000


def train(recipe: Recipe, resume: bool = False, logical_cpus: int = 0) -> Path:
    """Trains a network as a recipe says and writes a run folder.

    The folder holds `config.json`, `history.csv`, `curves.png`, `logs/` for TensorBoard,
    `checkpoints/`, `model.keras` (the network at the end of the run), `best.weights.h5` (the epoch
    with the highest accuracy on the validation clips) and, if there are such, `missing.txt` and
    `unreadable.txt` with videos that were not on disk or could not be read.

    A run that was stopped, at any moment, continues with `resume` from its last checkpoint with the
    very next batch; with `deterministic` the result is bit-identical to an uninterrupted run.

    Args:
        recipe: the settings. `root` and `output` must be given.
        resume: continue the run in `output`, if there is one. Settings and videos must be those
            that it began with.
        logical_cpus: split the CPU into so many devices first, to try `strategy="mirrored"`
            without several GPUs. 0 leaves it whole.

    Returns:
        The run folder.

    Raises:
        ValueError: for settings or data that cannot be trained on, or that are not those of the
            run to continue. Nothing was written then.
        OSError: if the data are not there, or the output folder is taken or cannot be written.
        ConnectionError: if the workers of a run do not find, or lose, each other.
        FloatingPointError: if the loss is not finite.
        KeyboardInterrupt: after SIGINT or SIGTERM, with a checkpoint of the last step.
    """
    continues = check_output(recipe, resume)
    workers = join(recipe)
    with workers.together():
        run = Run(recipe, workers, continues)
        if continues and (run.output / "model.keras").is_file():
            logging.info("The run in %s is finished already.", run.output)
        else:
            run.prepare(logical_cpus)
            run.fit()
            run.finish()
    return run.output


class Run:
    """A training run: recipe with everything filled in, folder, workers, videos, epochs.

    `continues` tells whether its folder holds a part of it, `report` which videos could not be
    read, `devices` on how many of this process the network is trained together. `model`, `resume`
    and `callbacks` are there after `prepare`.
    """

    devices = 1
    model: VideoModel
    resume: ExactResume
    callbacks: list[keras.callbacks.Callback]

    def __init__(self, recipe: Recipe, workers: Workers, continues: bool) -> None:
        self.workers, self.continues, self.output = workers, continues, Path(recipe.output)
        self.training, self.validation = read_videos(recipe)
        self.recipe = resolve(recipe, self.training)
        self.epochs = plan(self.recipe, len(self.training))
        self.report = ReadReport()
        self.throughput = Throughput(self.recipe.batch_size)
        kept = find_checkpoints(self.output / CHECKPOINTS) if continues else []
        about = about_run(self.recipe, self.training, self.validation)
        folder = {"holds a run": continues, "checkpoints": [path.name for path in kept]}
        workers.check_same({**about, "output folder": folder})
        if continues:
            check_same_run(self.recipe, self.training, self.validation)

    def prepare(self, logical_cpus: int = 0) -> None:
        """Makes the network and the callbacks, then the folder."""
        recipe, workers = self.recipe, self.workers
        strategy = make_strategy(recipe.strategy, recipe.batch_size, logical_cpus)
        self.devices = strategy.num_replicas_in_sync
        for part, videos in (("training", self.training), ("validation", self.validation)):
            check_readable(videos, part, recipe)
        keras.utils.set_random_seed(recipe.seed)
        if recipe.deterministic:
            tf.config.experimental.enable_op_determinism()
        fresh = not (self.continues and find_checkpoints(self.output / CHECKPOINTS))
        with dtype_policy(recipe.precision), strategy.scope():
            self.model = make_model(recipe, self.training, self.devices, fresh)
            compile_model(self.model, recipe, self.epochs)
        if workers.connected:
            weigh_by_real_clips(self.model)
        self._make_callbacks()
        workers.check_same({"checkpoint": {"step": self.resume.latest().step}})
        if workers.is_chief:
            if not self.continues:
                start_folder(recipe, self.training, self.validation)
            self._announce()

    def fit(self) -> None:
        """Trains from where the run stands to its end: one `fit` for each shape of clips."""
        start = self.resume.latest().epoch
        validation = self._clips(self.validation, batch_size=self.recipe.batch_size)
        verbose = (1 if sys.stdout.isatty() else 2) if self.workers.is_chief else 0
        parts = phases(self.epochs)
        for part in parts:
            if part[-1].number < start and part is not parts[-1]:
                continue
            self.throughput.batch_size = part[0].batch_size
            self.model.fit(
                self.batches(part[0]),
                validation_data=validation,
                initial_epoch=part[0].number,
                epochs=part[-1].number + 1,
                shuffle=False,  # the data set does it
                callbacks=self.callbacks,
                verbose=verbose,
            )

    def batches(self, epoch: Epoch) -> tf.data.Dataset:
        """The training batches of epochs of one shape."""
        data = self._clips(
            self.training,
            batch_size=epoch.batch_size,
            training=True,
            seed=self.recipe.seed,
            augment=self.recipe.augmentation(),
            frames=epoch.frames,
            stride=epoch.stride,
            size=epoch.size,
        )
        if self.recipe.multigrid:
            data.clip_spec = None  # what the network is for are clips of the full shape
        # Several devices read ahead, which hides how long a step waits.
        return self.throughput.watch(data) if self.devices == 1 else data

    def _clips(self, videos: Videos, **options: Any) -> tf.data.Dataset:
        recipe = self.recipe
        common = {
            "label_mode": "categorical" if recipe.soft_labels else "int",
            "sample_weights": True,
            "report": self.report,
            "part": self.workers.part,
        }
        return clips(videos, **{**recipe.clip_options(), **common, **options})

    def finish(self) -> None:
        """Writes the network for use, and the list of what could not be read."""
        model, recipe = self.model, self.recipe
        if recipe.ema_momentum:
            inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
            inner.average_at_end = True
            inner.finalize_variable_values(model.trainable_variables)
        for failed, damaged in self.workers.gather([self.report.failed, self.report.damaged]):
            self.report.failed.update(failed)
            self.report.damaged.update(damaged)
        if not self.workers.is_chief:
            return
        with self.workers.alone(), dtype_policy(recipe.precision):
            # Without its optimizer, and for clips of the recipe's shape.
            final = build_model(recipe, len(self.training.class_names))
            final.set_weights(model.get_weights())
            final.clip_spec = model.clip_spec
        with write_beside(self.output / "model.keras") as beside:
            final.save(beside)
        if self.report.summary():
            write_text(self.output / "unreadable.txt", self.report.summary() + "\n")
            logging.warning("%s", self.report.summary())

    def _make_callbacks(self) -> None:
        """What the run does beside its steps, in the order in which it has to be done."""
        recipe, workers, output = self.recipe, self.workers, self.output
        kept = output / CHECKPOINTS
        found: list[keras.callbacks.Callback] = [StopOnNaN(kept), self.throughput]
        if workers.is_chief:
            found.append(BestWeights(output / "best.weights.h5", scope=workers.alone))
        if recipe.ema_momentum:
            found.append(keras.callbacks.SwapEMAWeights())
        if workers.is_chief:
            found += log_callbacks(recipe, self.training)
        options: dict[str, Any] = {
            "steps": recipe.checkpoint_steps,
            "minutes": recipe.checkpoint_minutes,
            "keep": recipe.keep_checkpoints,
            "callbacks": found,
        }
        self.resume = (
            WorkersResume(workers, kept, **options)
            if workers.connected
            else ExactResume(kept, **options)
        )
        self.callbacks = [*found, self.resume]

    def _announce(self) -> None:
        """Logs what is trained on what, and what to know before."""
        recipe, count = self.recipe, len(self.training)
        devices = self.devices
        if self.workers.connected:
            devices = keras.distribution.get_device_count()
            logging.info(
                "%d workers. If one is lost, all end within two minutes; start all again with "
                "resume.",
                self.workers.count,
            )
        step = "uniform" if recipe.sampling == "uniform" else f"stride {recipe.stride}"
        batch = "up to " * recipe.multigrid + str(max(epoch.batch_size for epoch in self.epochs))
        logging.info(
            f"{recipe.model} on {count} videos of {len(self.training.class_names)} classes, "
            f"validated on {len(self.validation)}: clips of {recipe.frames}x{recipe.size}x"
            f"{recipe.size}, {step}. {recipe.epochs} epochs, "
            f"{total_steps(self.epochs)} steps of {batch} clips, on {devices} "
            f"{'GPU' if gpu_capability() else 'CPU'} in {recipe.precision}; learning rate "
            f"{recipe.peak_learning_rate:g} after {recipe.warmup_steps} steps of warm-up."
        )
        if recipe.backbone_lr_multiplier != 1 and not recipe.weights:
            logging.info("No weights to start from: the whole network learns at the full rate.")
        # A network of the user's own has no published weights to start from.
        if not recipe.weights and recipe.model != "MTNet" and count < _SMALL_SET:
            logging.warning(
                f"Training from scratch on {count} videos. From scratch, published networks reach "
                "40-55 % on sets such as UCF-101 (9,537 videos), against 90 % and more from "
                "weights of a large set: see --weights."
            )
        missing = (*self.training.missing, *self.validation.missing)
        if missing:
            write_text(self.output / "missing.txt", "".join(f"{name}\n" for name in missing))
            logging.warning(
                f"{len(missing)} listed videos are missing, e.g. {', '.join(missing[:3])}; the run "
                f"continues without them. All: {self.output / 'missing.txt'}"
            )
