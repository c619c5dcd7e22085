"""A run that is stopped comes to what an unbroken one does, bit for bit."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_mtnet.data import read_split
from keras_mtnet.training import Recipe, train

SETTINGS = {
    "model": "MTNet",
    "stage_filters": (8,),
    "stage_depths": (1,),
    "frames": 4,
    "size": 16,
    "batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.02,
    "ema_momentum": 0.9,
    "label_smoothing": 0.1,
    "deterministic": True,
    "checkpoint_steps": 1,
}
TRAIN = (
    "import sys\nfrom absl import logging\nfrom keras_mtnet.training import Recipe, train\n"
    "logging.set_verbosity('info')\n"
    "train(Recipe.from_json(sys.argv[1]), resume=True)"
)


def start(recipe: Recipe) -> subprocess.Popen:
    """Deterministic operations hold for a whole process, so each run has its own."""
    command = [sys.executable, "-c", TRAIN, recipe.to_json()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return errors


def newest(run: Path) -> int:
    steps = [int(path.stem[5:]) for path in (run / "checkpoints").glob("step-*.npz")]
    return max(steps, default=0)


def kill(recipe: Recipe, step: int) -> None:
    """Starts or resumes a run and kills it after the checkpoint of a step."""
    process = start(recipe)
    while process.poll() is None and newest(Path(recipe.output)) < step:
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()[1][-3000:]
    process.kill()
    process.communicate()


def history(run: Path) -> list[dict[str, str]]:
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v for k, v in row.items() if k not in ("clips_per_second", "input_wait")}
        for row in rows
    ]


@pytest.fixture(scope="module")
def runs(drawn, tmp_path_factory) -> tuple[Path, Path]:
    """An unbroken run, and one that was killed twice, in the middle of epochs 1 and 2."""
    folder = tmp_path_factory.mktemp("resumed")
    names = ("Fall", "Rise", "Spin")
    for name in names:
        shutil.copytree(drawn / name, folder / "videos" / name)
    whole, broken = (
        Recipe(root=str(folder / "videos"), output=str(folder / name), **SETTINGS)
        for name in ("whole", "broken")
    )
    unbroken = start(whole)
    kill(broken, 1)
    first = newest(folder / "broken")
    # As if it had been killed while it wrote.
    (folder / "broken" / "checkpoints" / ".0a1b2c3d.step-000000009.npz").write_bytes(b"half")
    kill(broken, first + 2)
    errors = finish(start(broken))
    finish(unbroken)
    assert "Continuing after step " in errors
    return folder / "whole", folder / "broken"


def test_weights_optimizer_and_metrics_are_the_same(runs):
    whole, broken = runs
    assert newest(whole) == newest(broken) > 4
    name = f"checkpoints/step-{newest(whole):09d}.npz"
    with np.load(whole / name) as one, np.load(broken / name) as other:
        assert one.files == other.files and len(one.files) > 100
        for key in set(one.files) - {"state"}:
            assert one[key].tobytes() == other[key].tobytes(), key
    assert not list((broken / "checkpoints").glob(".*"))


def test_history_is_the_same(runs):
    one, other = map(history, runs)
    assert one == other and len(one) == 3


def test_a_finished_run_is_left_alone(runs, caplog):
    whole, _ = runs
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    recipe = Recipe(root=str(whole.parent / "videos"), output=str(whole), **SETTINGS)
    caplog.set_level("INFO", logger="absl")
    train(recipe, resume=True)
    assert "finished already" in caplog.text
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*")} == before


@pytest.mark.parametrize(
    "message, changes",
    [
        ("batch_size was 4 and is 8", {"batch_size": 8}),
        ("stage_filters was .8. and is .16.", {"stage_filters": (16,)}),
        ("epochs was 3 and is 4", {"epochs": 4}),
        ("there were 3 classes and are 2", {"without": "Spin"}),
        ("there were 12 training videos and are 11", {"without": "Fall/{first}"}),
        ("the list of training videos is another one", {"renamed": "Fall/{first}"}),
    ],
)
def test_another_run_is_refused(runs, tmp_path, message, changes):
    whole, _ = runs
    videos = tmp_path / "videos"
    shutil.copytree(whole.parent / "videos", videos)
    changes = dict(changes)
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    listed = read_split("folder", str(videos), subset="train")
    first = next(Path(video.path) for video in listed if video.name.startswith("Fall/"))
    for what in ("without", "renamed"):
        path = changes.pop(what, None)
        path = path and videos / path.format(first=first.name)
        if path and path.is_dir():
            shutil.rmtree(path)
        elif path and what == "without":
            path.unlink()
        elif path:
            path.rename(path.with_name(f"v_Fall_g01_c99{path.suffix}"))
    recipe = Recipe(**{**SETTINGS, "root": str(videos), "output": str(whole), **changes})
    with pytest.raises(ValueError, match=message):
        train(recipe, resume=True)
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*")} == before


def test_nothing_to_resume_begins_anew_and_old_files_are_not_taken_for_a_run(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        train(Recipe(root="videos", output=str(tmp_path), **SETTINGS), resume=True)


def test_the_recipe_in_the_folder_is_complete(runs):
    recipe = json.loads((runs[0] / "config.json").read_text())["recipe"]
    assert recipe["stride"] == 2 and recipe["warmup_steps"] == 0 and recipe["ema_momentum"] == 0.9
