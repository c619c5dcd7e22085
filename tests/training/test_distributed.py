"""Two processes on this machine as the workers of a run, against one process."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import TINY

from keras_mtnet.callbacks.checkpoint import find_checkpoints
from keras_mtnet.training import Recipe, load_run
from keras_mtnet.training.distributed import Workers, find_workers, join, weigh_by_real_clips
from keras_mtnet.training.run_folder import CHECKPOINTS

SMALL = {
    **TINY,
    # Two workers round sums in another order than one process, which moves weights by 5e-7 in six
    # steps. Each way repeats bit for bit, also on a busy machine, but a gradient that jumps at such
    # a difference, or a choice of frames that hangs by it, makes it grow: with clips of an earlier
    # version, ratio 7/8 came to 1e-2 in 23 steps.
    "ratio": 1,
    "batch_size": 4,
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "127.0.0.[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
TRAIN = """
import json, os, signal, sys
from absl import logging
from keras_mtnet.callbacks import ExactResume
from keras_mtnet.training import Recipe, train
logging.set_verbosity("info")
killed = int(os.environ.get("KILLED_AT", 0))
def on_train_batch_begin(self, batch, logs=None):
    if self.state.step == killed > 0:
        os.kill(os.getpid(), signal.SIGKILL)
ExactResume.on_train_batch_begin = on_train_batch_begin
for settings in sys.argv[1:]:
    train(Recipe.from_json(settings), resume=True)
"""


def environment(**more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k != "TF_CONFIG" and "SLURM" not in k}
    # What takes long here is to compile.
    return {**plain, "KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **more}


def free_port(first: int = 0) -> int:
    for port in range(first, 65536):
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return found.getsockname()[1]
    raise AssertionError("no free port")


def tf_config(port: int, index: int) -> str:
    # JAX needs the address of the first worker only.
    workers = [f"127.0.0.1:{port}", "127.0.0.1:1"]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def run_all(commands: list[tuple[list[str], dict[str, str]]]) -> list[tuple[int, str, str]]:
    """Status, output and errors of processes that run at the same time."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=env, **pipes) for command, env in commands]
    try:
        texts = [process.communicate(timeout=600) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(started, texts, strict=True)]


def train_two(recipe: Recipe, **of_the_second: str) -> list[tuple[int, str, str]]:
    port = free_port()
    command = [sys.executable, "-c", TRAIN, recipe.to_json()]
    first = environment(TF_CONFIG=tf_config(port, 0))
    second = environment(TF_CONFIG=tf_config(port, 1), **of_the_second)
    return run_all([(command, first), (command, second)])


def lists(drawn: Path, folder: Path, train: list[str], test: list[str]) -> str:
    folder.mkdir()
    (folder / "classInd.txt").write_text((drawn / "classInd.txt").read_text())
    (folder / "trainlist01.txt").write_text("".join(f"{line}\n" for line in train))
    (folder / "testlist01.txt").write_text("".join(f"{line}\n" for line in test))
    return str(folder)


def lines(drawn: Path, name: str, count: int) -> list[str]:
    """Lines of a list from all over it."""
    found = (drawn / name).read_text().splitlines()
    return [found[7 * i % len(found)] for i in range(count)]


@pytest.fixture(scope="module")
def recipes(drawn, tmp_path_factory) -> dict[str, Recipe]:
    """A plain run, and one on videos some of which cannot be read; each for two workers."""
    pytest.importorskip("jax", reason='several workers need pip install "keras-mtnet[jax]"')
    folder = tmp_path_factory.mktemp("workers")
    root = folder / "videos"
    for path in drawn.glob("*/*"):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        (root / path.parent.name / path.name).symlink_to(path)
    for name in ("broken1.avi", "broken2.avi", "broken3.avi"):
        (root / "Fall" / name).write_text("not a video")
    train, test = lines(drawn, "trainlist01.txt", 18), lines(drawn, "testlist01.txt", 7)
    broken = ["Fall/broken1.avi 3", "Fall/broken2.avi 3"]
    common = {"data": "ucf101", "root": str(root), "strategy": "multi_worker", **SMALL}
    return {
        # 18 and 7 videos are no whole number of batches.
        "plain": Recipe(
            annotations=lists(drawn, folder / "plain_lists", train, test),
            output=str(folder / "plain"),
            epochs=3,
            **common,
        ),
        # The weightless clips that fill batches up count in batch statistics only.
        "broken": Recipe(
            annotations=lists(
                drawn, folder / "broken_lists", train[:8] + broken, [*test, "Fall/broken3.avi"]
            ),
            output=str(folder / "broken"),
            batch_norm="frozen",
            checkpoint_steps=1,
            epochs=2,
            **common,
        ),
    }


@pytest.fixture(scope="module")
def alone(recipes) -> dict[str, Path]:
    """The same runs by one process."""
    found = {
        name: recipe.replace(strategy="none", output=recipe.output + "_alone")
        for name, recipe in recipes.items()
    }
    command = [sys.executable, "-c", TRAIN, *(recipe.to_json() for recipe in found.values())]
    ((status, _, errors),) = run_all([(command, environment())])
    assert status == 0, errors[-3000:]
    return {name: Path(recipe.output) for name, recipe in found.items()}


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, batch statistics and history."""
    weights = [
        {v.path: keras.ops.convert_to_numpy(v) for v in load_run(run)[0].weights}
        for run in (one, other)
    ]
    assert len(weights[0]) > 20
    for path, value in weights[0].items():
        np.testing.assert_allclose(weights[1][path], value, rtol=0, atol=1e-4, err_msg=path)
    rows = []
    for run in (one, other):
        with open(run / "history.csv", newline="") as file:
            rows.append(list(csv.DictReader(file)))
    # Where clips cannot be read, workers count clips, and one process batches, for the accuracy.
    readable = ("accuracy",) * (not (one / "unreadable.txt").exists())
    for name in ("loss", "val_loss", "val_accuracy", "learning_rate", *readable):
        first, second = ([float(row[name]) for row in table] for table in rows)
        np.testing.assert_allclose(second, first, atol=1e-4, err_msg=name)


def test_two_workers_equal_one_process(recipes, alone):
    """Started on the command line under Slurm, with batch statistics over both."""
    recipe = recipes["plain"]
    job = str(free_port(61440) - 61440)  # JAX makes the port of its number
    # `keras-mtnet` chooses the backend itself.
    env = environment(**{**SLURM, "SLURM_JOB_ID": job})
    del env["KERAS_BACKEND"]
    flags = [f"--{k}={getattr(recipe, k)}" for k in ("data", "root", "annotations", "output")]
    for name, value in {**SMALL, "epochs": 3, "strategy": "multi_worker"}.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        flags.append(f"--{name}={text}")
    command = [sys.executable, "-m", "keras_mtnet.cli", "train", *flags]
    done = run_all([(command, {**env, "SLURM_PROCID": str(i)}) for i in range(2)])
    assert [status for status, _, _ in done] == [0, 0], "\n\n".join(
        errors[-4000:] for _, _, errors in done
    )
    told = "".join(done[0][1:])
    assert "15 steps of 4 clips, on 2 CPU" in told and "2 workers." in told
    assert "Epoch" not in done[1][1]
    run = Path(recipe.output)
    assert_same_run(alone["plain"], run)
    assert {path.name for path in run.iterdir()} == {p.name for p in alone["plain"].iterdir()}


def test_a_lost_worker_ends_the_run_which_goes_on_later(recipes, alone):
    """To the result of one process, with unreadable videos in both lists."""
    recipe = recipes["broken"]
    (status, _, errors), (killed, _, _) = train_two(recipe, KILLED_AT="3")
    assert killed == -signal.SIGKILL and status == 1, errors[-3000:]
    assert "Worker 0 of 2 lost the others" in errors
    run = Path(recipe.output)
    assert find_checkpoints(run / CHECKPOINTS)[0].name == "step-000000003.npz"
    assert not (run / "model.keras").exists()
    done = train_two(recipe)
    assert [status for status, _, _ in done] == [0, 0], "\n\n".join(
        errors[-4000:] for _, _, errors in done
    )
    assert "Continuing after step 3." in done[0][2]
    assert_same_run(alone["broken"], run)
    # What either of them could not read is in the list.
    unreadable = (run / "unreadable.txt").read_text()
    assert unreadable == (alone["broken"] / "unreadable.txt").read_text()
    assert unreadable.count("Fall/broken") == 3


# --- Who the workers are -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cluster, task, expected",
    [
        ({"worker": ["a:1", "b:2", "c:3"]}, {"type": "worker", "index": 2}, (3, 2, "a:1")),
        ({"chief": ["a:1"], "worker": ["b:2"]}, {"type": "worker", "index": 0}, (2, 1, "a:1")),
        ({"chief": ["a:1"], "worker": ["b:2"]}, {"type": "chief", "index": 0}, (2, 0, "a:1")),
    ],
)
def test_workers_of_tf_config(cluster, task, expected):
    found = find_workers({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task}), **SLURM})
    assert (found.count, found.index, found.address) == expected
    assert found.is_chief == (expected[1] == 0) and not found.connected


def test_workers_of_slurm():
    found = find_workers(SLURM)
    assert (found.count, found.index, found.address) == (2, 1, None)


@pytest.mark.parametrize(
    "variables, message",
    [
        ({}, r"needs to know the workers: set TF_CONFIG, as '\{"),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}, "not SLURM_STEP_NODELIST.*with srun"),
        ({"TF_CONFIG": "nonsense"}, "Received: TF_CONFIG=nonsense"),
        ({"TF_CONFIG": "[]"}, "must name a cluster of workers"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "must name a cluster"),
        ({"TF_CONFIG": tf_config(1, 2)}, "must name a cluster"),
        ({"TF_CONFIG": tf_config(1, -1)}, "must name a cluster"),
        ({"TF_CONFIG": tf_config(1, 0).replace("127.0.0.1:1", "host")}, "as host:port"),
        ({"TF_CONFIG": tf_config(1, 0).replace('"type": "worker"', '"type": "ps"')}, "cluster"),
    ],
)
def test_workers_that_are_not_named(variables, message):
    with pytest.raises(ValueError, match=message):
        find_workers(variables)


@pytest.mark.parametrize(
    "backend, changes, message",
    [
        ("tensorflow", {}, "set KERAS_BACKEND=jax before Keras is imported"),
        ("jax", {"batch_size": 5}, r"divisible by the 2 workers\. Received: batch_size=5"),
        ("jax", {"batch_norm": "local"}, "batch statistics over all workers"),
    ],
)
def test_runs_that_several_workers_cannot_do(monkeypatch, backend, changes, message):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(Workers, "connect", lambda self: pytest.fail("connected"))
    with pytest.raises(ValueError, match=message):
        join(Recipe(strategy="multi_worker", **changes), {"TF_CONFIG": tf_config(1, 0)})


def test_a_run_of_one_needs_nobody():
    one = join(Recipe())
    assert one.is_chief and one.part == (0, 1) and one.gather("it") == ["it"]
    one.check_same({"settings": {"epochs": 1}})
    with pytest.raises(KeyError), one.together():
        raise KeyError


def test_workers_that_differ_are_named(monkeypatch):
    def gather(self, value):
        return [value, value, {"settings": {"epochs": 2, "seed": 0}}]

    monkeypatch.setattr(Workers, "gather", gather)
    message = "Worker 2 differs from worker 0 in the settings: epochs is 2 there and 1 here"
    with pytest.raises(ValueError, match=message):
        Workers(3).check_same({"settings": {"epochs": 1, "seed": 0}})


def test_the_loss_is_the_mean_over_the_real_clips():
    """Of two workers one could read 2 clips and the other 1."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    weigh_by_real_clips(model)
    x, weight = np.zeros((4, 1)), np.array([1.0, 1.0, 1.0, 0.0])
    y = np.array([[1.0], [2.0], [3.0], [9.0]])
    loss = model.compute_loss(x, y, keras.ops.zeros((4, 1)), weight, training=True)
    assert float(loss) == pytest.approx((1 + 4 + 9) / 3)
    loss = model.compute_loss(x, y, keras.ops.zeros((4, 1)), weight, training=False)
    assert float(loss) == pytest.approx((1 + 4 + 9) / 4)
    nothing = model.compute_loss(x, y, keras.ops.zeros((4, 1)), 0 * weight, training=True)
    assert float(nothing) == 0
