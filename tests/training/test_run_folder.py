"""What a finished run holds, and what can be loaded of it."""

import csv
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_runs import TINY

from keras_mtnet import ClipSpec
from keras_mtnet.training import Recipe, load_run, train


def test_a_run_folder_holds_everything(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        *("config.json", "history.csv", "curves.png", "logs", "checkpoints"),
        *("model.keras", "best.weights.h5", "unreadable.txt"),
    }
    assert "Rise/broken.mp4: " in (run / "unreadable.txt").read_text()
    assert list((run / "logs").rglob("events.out.tfevents.*"))
    config = json.loads((run / "config.json").read_text())
    assert config["class_names"] == ["Fall", "Rise", "Spin"]
    assert set(config["versions"]) == {"keras_mtnet", "keras", "tensorflow"}
    # What the recipe left open is there as it was used.
    assert config["recipe"]["stride"] == 2 and config["recipe"]["warmup_steps"] == 0


def test_the_history_has_training_and_validation(run):
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    columns = {"loss", "accuracy", "val_loss", "val_accuracy", "clips_per_second", "learning_rate"}
    assert columns <= set(rows[0])
    assert all(np.isfinite(float(row[name])) for row in rows for name in columns)
    # The middle and the end of the cosine: an epoch has as many steps as it says.
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.01, 0.0], abs=1e-8)


def test_load_run_gives_the_model_and_what_it_needs(run):
    model, recipe = load_run(run)
    assert model.output_shape == (None, 3) and model.input_shape == (None, 4, 16, 16, 3)
    spec = ClipSpec(4, 2, 16, sampling="window", class_names=("Fall", "Rise", "Spin"))
    assert model.clip_spec == spec
    assert (recipe.stride, recipe.warmup_steps) == (2, 0)
    best, _ = load_run(run, best=True)
    fresh = keras.models.clone_model(model)
    fresh.load_weights(run / "best.weights.h5")
    for one, other in zip(best.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_model_alone_loads(run, drawn):
    """No part of training, and no arguments, are needed to use a trained network."""
    script = (
        "import sys, keras_mtnet, keras\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "print(model.clip_spec.class_names)\n"
        "print(*sorted(name for name, _ in keras_mtnet.predict_video(model, sys.argv[2])))\n"
        "assert 'keras_mtnet.training' not in sys.modules"
    )
    command = [sys.executable, "-c", script, run / "model.keras", next(drawn.glob("*/*.mp4"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "('Fall', 'Rise', 'Spin')\nFall Rise Spin\n", done.stderr


def test_load_run_is_all_that_is_needed(run):
    """In a process that has imported nothing else of the package."""
    script = (
        "import sys\nfrom keras_mtnet.training import load_run\n"
        "print(load_run(sys.argv[1])[0].output_shape)"
    )
    command = [sys.executable, "-c", script, run]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "(None, 3)\n", done.stderr


def test_load_run_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not the folder of a finished run.*config.json"):
        load_run(tmp_path)


def test_class_names_of_many_kinds_come_back_with_the_model(drawn, tmp_path):
    names = ["a, b", "[c] (d)", "\u00fc \U0001f600", 'quote "e"', "back\\slash"]
    root = tmp_path / "videos"
    for name, source in zip(names, ("Fall", "Rise", "Spin", "Rock", "SwayFast"), strict=True):
        (root / name).mkdir(parents=True)
        for video in list((drawn / source).iterdir())[:3]:
            (root / name / video.name).symlink_to(video)
    settings = {"batch_size": 8, "epochs": 1, "ratio": 1, **TINY}
    run = train(Recipe(root=root, output=tmp_path / "run", **settings))
    assert load_run(run)[0].clip_spec.class_names == tuple(sorted(names))
    assert json.loads((run / "config.json").read_text())["class_names"] == sorted(names)
