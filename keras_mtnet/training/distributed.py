"""Several workers: several machines, or several processes, that train one network.

Keras' JAX backend computes: every worker runs the same program on its own part of each batch, and
`keras.distribution.DataParallel` makes them one computation, batch statistics included. JAX's
coordination service, at the address of worker 0, finds the workers and notices when one is lost.
"""

import atexit
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_mtnet.callbacks import ExactResume
from keras_mtnet.training.devices import check_divides
from keras_mtnet.training.recipe import Recipe

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


class Workers:
    """The workers of a run, as one of them sees them: by default it is alone.

    Attributes:
        count: how many there are.
        index: which one this is. Worker 0 is the chief, the only one that writes.
        address: `host:port` of the chief; None where the cluster's own variables tell JAX.
        connected: whether this is one of a run's workers, and no run of its own.
    """

    def __init__(self, count: int = 1, index: int = 0, address: str | None = None) -> None:
        self.count, self.index, self.address = count, index, address
        self.connected = self._failed = False

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes."""
        return self.index == 0

    @property
    def part(self) -> tuple[int, int]:
        """Which of how many parts of each batch is this worker's."""
        return (self.index, self.count) if self.connected else (0, 1)

    def connect(self) -> None:
        """Waits for all workers and makes their devices those that Keras computes on.

        Raises:
            ConnectionError: if they do not find each other.
        """
        import jax

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        place = (self.address, self.count, self.index) if self.address else (None, None, None)
        try:
            keras.distribution.initialize(*place)
        except RuntimeError as error:
            raise ConnectionError(
                f"Worker {self.index} of {self.count} did not find the others at "
                f"{self.address or 'the first node of Slurm'}: {error}"
            ) from error
        self.connected = True
        # JAX waits at the exit for all workers. One that failed must not: the others notice that it
        # is gone when its connections close.
        atexit.register(self._leave)
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )

    def _leave(self) -> None:
        if self._failed:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A run of all workers: an error of one ends all of them.

        Raises:
            ConnectionError: for an error of the computation that all of them share.
        """
        try:
            yield
        except Exception as error:
            self._failed = self.connected
            if self._failed and _is_shared(error):
                raise ConnectionError(
                    f"Worker {self.index} of {self.count} lost the others, most likely because "
                    "one of them ended; see what that one said. Start all again with resume: they "
                    f"continue from the last checkpoint. ({str(error).splitlines()[0]})"
                ) from error
            raise
        finally:
            if self.connected:
                keras.distribution.set_distribution(None)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within it Keras computes on this worker only."""
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)

    def gather(self, value: Any) -> list[Any]:
        """What each worker gives here, anything that JSON holds, in order. Waits for all."""
        if not self.connected:
            return [value]
        from jax.experimental.multihost_utils import process_allgather

        text = np.frombuffer(json.dumps(value).encode(), "uint8")
        lengths = process_allgather(np.array([text.size], "int32")).ravel()
        padded = np.pad(text, (0, lengths.max() - text.size))
        rows = process_allgather(padded).reshape(self.count, -1)
        return [
            json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)
        ]

    def check_same(self, things: dict[str, dict[str, Any]]) -> None:
        """Raises ValueError, in all workers, unless each has the same values as the chief.

        `things` are what to compare, by the name of the thing and of its property.
        """
        found = self.gather(things)
        for (index, other), thing in itertools.product(enumerate(found), found[0]):
            for name, value in found[0][thing].items():
                if other[thing][name] != value:
                    raise ValueError(
                        f"Worker {index} differs from worker 0 in the {thing}: {name} is "
                        f"{other[thing][name]} there and {value} here. All workers need the same "
                        "settings and videos, and an output folder that they share."
                    )


class WorkersResume(ExactResume):
    """`ExactResume` for several workers: the chief alone writes, all stop after the same step."""

    signals = (signal.SIGINT,)  # JAX itself passes SIGTERM on

    def __init__(self, workers: Workers, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.writes = workers.is_chief
        self._last = -1

    def stops(self, step: int) -> bool:
        """Whether to stop after this step: all agree on one soon after any of them was asked."""
        from jax.experimental import multihost_utils

        if super().stops(step):
            os.kill(os.getpid(), signal.SIGTERM)
        if step == self._last:  # an epoch begins after the step in which the last one ended
            return False
        self._last = step
        return multihost_utils.reached_preemption_sync_point(step)


def weigh_by_real_clips(model: keras.Model) -> None:
    """Lets the loss of a training batch be the mean over its real clips, wherever they were read.

    A worker gives weight 1 to each clip that it can read, and 0 to what stands in for others. How
    many those are in the whole batch is known where the batch is one: in the loss.
    """
    compute_loss = model.compute_loss

    def weighed(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training and sample_weight is not None:
            sample_weight = sample_weight / keras.ops.maximum(keras.ops.mean(sample_weight), 1e-6)
        return compute_loss(x, y, y_pred, sample_weight, training)

    model.compute_loss = weighed


def join(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> Workers:
    """The workers of a run, connected, as `TF_CONFIG` or Slurm name them in the environment.

    Raises:
        ValueError: if the run cannot be divided among them, or they are not named.
        ConnectionError: if they do not find each other.
    """
    if recipe.strategy != "multi_worker":
        return Workers()
    if keras.backend.backend() != "jax":
        raise ValueError(
            "strategy='multi_worker' runs on Keras' JAX backend: set KERAS_BACKEND=jax before "
            f"Keras is imported. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if recipe.batch_norm == "local":
        raise ValueError(
            "strategy='multi_worker' takes batch statistics over all workers. "
            "Received: batch_norm='local'; use synchronized or frozen."
        )
    workers = find_workers(environment)
    check_divides(recipe.batch_size, workers.count, "workers")
    keras.utils.set_random_seed(recipe.seed)  # else Keras draws one for all workers
    workers.connect()
    devices = keras.distribution.get_device_count()
    check_divides(recipe.batch_size, devices, "devices of all workers")
    return workers


def find_workers(environment: Mapping[str, str]) -> Workers:
    """The workers that `TF_CONFIG` or, without it, Slurm names; not connected yet.

    `TF_CONFIG` is the JSON that TensorFlow uses; a cluster with a `chief` counts it as the first
    worker. Under Slurm the tasks of an `srun` are the workers. ValueError if there is neither, or
    `TF_CONFIG` is another.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    missing = [name for name in _SLURM if name not in environment]
    if not missing:
        return Workers(int(environment["SLURM_NTASKS"]), int(environment["SLURM_PROCID"]))
    if len(missing) < len(_SLURM):
        raise ValueError(
            f"strategy='multi_worker' finds Slurm, but not {', '.join(missing)}: start the workers "
            "with srun."
        )
    config = {
        "cluster": {"worker": ["host1:2222", "host2:2222"]},
        "task": {"type": "worker", "index": 0},
    }
    raise ValueError(
        f"strategy='multi_worker' needs to know the workers: set TF_CONFIG, as "
        f"'{json.dumps(config)}', or start them with Slurm's srun."
    )


def _from_tf_config(text: str) -> Workers:
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        index = {"chief": 0, "worker": len(chiefs)}[task["type"]] + int(task["index"])
        addresses = chiefs + workers
        if not 0 <= index < len(addresses) or not all(":" in address for address in addresses):
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "TF_CONFIG must name a cluster of workers, each as host:port, and this one's task "
            f"among them. Received: TF_CONFIG={text}"
        ) from error
    return Workers(len(addresses), index, addresses[0])


def _is_shared(error: Exception) -> bool:
    """Whether an error came out of the computation of all workers."""
    import jax

    text = str(error)
    known = any(word in text for word in ("Gloo", "NCCL", "coordination service"))
    return known or isinstance(error, jax.errors.JaxRuntimeError)
