import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtnet import ClipSpec
from keras_mtnet.layers import MTBlock
from keras_mtnet.training import Recipe, load_run, train
from keras_mtnet.training.distributed import join
from keras_mtnet.training.plan import plan
from keras_mtnet.training.run import Run

# The smallest network of all the parts of a big one; ratio 1 is quicker where the branch is beside
# the point.
TINY = {
    "model": "MTNet",
    "stage_filters": (8,),
    "stage_depths": (1,),
    "frames": 4,
    "size": 16,
    "learning_rate": 0.02,
    "dropout_rate": 0.0,
}


def some_videos(drawn: Path, folder: Path, train: int, test: int) -> str:
    """Lists of the first so many training and test videos of the drawn set."""
    folder.mkdir()
    (folder / "classInd.txt").write_text((drawn / "classInd.txt").read_text())
    for name, count in (("trainlist01.txt", train), ("testlist01.txt", test)):
        # Every seventh line: all classes come up.
        lines = (drawn / name).read_text().splitlines()
        chosen = [lines[7 * i % len(lines)] for i in range(count)]
        (folder / name).write_text("\n".join(chosen) + "\n")
    return str(folder)


def class_folders(drawn: Path, folder: Path, classes: list[str]) -> str:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for video in (drawn / name).iterdir():
            (folder / name / video.name).symlink_to(video)
    return str(folder)


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory) -> Path:
    """A finished run of two epochs with an unreadable training video."""
    folder = tmp_path_factory.mktemp("run")
    root = Path(class_folders(drawn, folder / "videos", ["Fall", "Rise", "Spin"]))
    (root / "Rise" / "broken.mp4").write_text("not a video")
    recipe = Recipe(
        root=str(root), output=str(folder / "run"), batch_size=4, epochs=2, ratio=1, **TINY
    )
    return train(recipe)


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


def test_weights_of_another_class_count(run, drawn, tmp_path, caplog):
    """The classifier is re-initialized and named; the rest starts from the file."""
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]),
        output=str(tmp_path / "run"),
        weights=str(run / "best.weights.h5"),
        backbone_lr_multiplier=0.0,
        batch_size=8,
        epochs=1,
        ratio=1,
        **TINY,
    )
    caplog.set_level("INFO", logger="absl")
    train(recipe)
    assert "Re-initialized: predictions" in caplog.text
    (source, _), (model, _) = load_run(run, best=True), load_run(tmp_path / "run")
    assert model.output_shape == (None, 2)
    # With a backbone rate of 0 the trained weights are still those of the file.
    kept = {v.path: v for v in source.trainable_variables}
    for variable in model.trainable_variables:
        if not variable.path.startswith("predictions/"):
            np.testing.assert_array_equal(np.array(variable), np.array(kept[variable.path]))


MIRRORED = """
import json, sys
import numpy as np
from absl import logging
from keras_mtnet.training import Recipe, load_run, train
from keras_mtnet.training.distributed import join
logging.set_verbosity("info")
settings = json.loads(sys.argv[1])
runs = []
for strategy in ("none", "mirrored"):
    recipe = Recipe.from_json(json.dumps({**settings, "strategy": strategy,
                                          "output": settings["output"] + strategy}))
    # The CPU can be split once a process.
    runs.append(load_run(train(recipe, logical_cpus=0 if runs else 2))[0])
for one, other in zip(*(model.weights for model in runs)):
    difference = np.abs(np.array(one) - np.array(other)).max()
    print(json.dumps({"weight": one.path, "difference": float(difference)}))
"""


@pytest.mark.parametrize("broken", [False, True])
def test_two_mirrored_devices_equal_one(drawn, tmp_path, broken):
    """Weights and batch statistics after 15 steps on the same global batches.

    Clips that fill up a batch with unreadable videos count in batch statistics only, which are
    frozen for them.
    """
    root = tmp_path / "videos"
    class_folders(drawn, root, [path.name for path in drawn.iterdir() if path.is_dir()])
    (root / "Fall" / "broken.mp4").write_text("not a video")
    settings = {
        "root": str(root),
        "annotations": some_videos(drawn, tmp_path / "lists", train=18 - broken, test=3),
        "output": str(tmp_path / "run_"),
        "batch_size": 4,
        "epochs": 3,
        # Sums in another order differ in their last bits, and a choice of frames that hangs by
        # these would be another one.
        "ratio": 1,
        **TINY,
    }
    if broken:
        settings |= {"batch_norm": "frozen"}
        with open(tmp_path / "lists" / "trainlist01.txt", "a") as file:
            file.write("Fall/broken.mp4 3\n")
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED, json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "15 steps of 4 clips, on 2 CPU" in done.stderr
    assert (tmp_path / "run_mirrored" / "unreadable.txt").exists() == broken
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    differences = {row["weight"]: row["difference"] for row in rows}
    assert len(differences) > 20
    assert max(differences.values()) < 1e-4, max(differences.items(), key=lambda item: item[1])


# --- Bad input ---------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_existing_run_is_not_touched(run, drawn):
    before = contents(run)
    with pytest.raises(FileExistsError, match="not empty"):
        train(Recipe(root=str(drawn), output=str(run), **TINY))
    assert contents(run) == before


@pytest.mark.parametrize(
    "error, message, changes",
    [
        (FileNotFoundError, "no such folder", {"root": "{tmp}/nowhere"}),
        (ValueError, "no class folder", {"root": "{tmp}/empty"}),
        (ValueError, "at least two classes", {"root": "{tmp}/one_class"}),
        (FileNotFoundError, "none of the 2 videos", {"annotations": "{tmp}/gone"}),
        (ValueError, "None of the 3 training videos can be read", {"root": "{tmp}/texts"}),
        (ValueError, "No video can be kept for validation", {"root": "{tmp}/single"}),
        (FileNotFoundError, "not a file", {"weights": "{tmp}/none.weights.h5"}),
        (PermissionError, "cannot be made", {"output": "{tmp}/file/run"}),
        (FileExistsError, "is a file", {"output": "{tmp}/file"}),
        (ValueError, "less than the .* steps of the run", {"warmup_steps": 1000}),
        (ValueError, "output", {"output": ""}),
        (ValueError, "output must lie outside root", {"output": "{root}/run"}),
        (ValueError, "output must lie outside root", {"output": "{root}"}),
    ],
)  # fmt: skip
def test_bad_input_stops_before_anything_is_written(drawn, tmp_path, error, message, changes):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("something")
    class_folders(drawn, tmp_path / "one_class", ["Fall"])
    for name in ("Fall", "Rise"):
        (tmp_path / "single" / name).mkdir(parents=True)
        video = next((drawn / name).iterdir())
        (tmp_path / "single" / name / f"only{video.suffix}").symlink_to(video)
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "b/3.mp4"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not a video")
    some_videos(drawn, tmp_path / "gone", 4, 2)
    (tmp_path / "gone" / "trainlist01.txt").write_text("Fall/gone1.avi 3\nFall/gone2.avi 3\n")
    before = contents(tmp_path)
    settings = {"root": str(drawn), "output": str(tmp_path / "run"), **TINY}
    settings |= {
        k: v.format(tmp=tmp_path, root=drawn) if isinstance(v, str) else v
        for k, v in changes.items()
    }
    with pytest.raises(error, match=message):
        train(Recipe(**settings))
    assert contents(tmp_path) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model, warned", [("MTNetS", True), ("MTNet", False)])
def test_published_networks_have_weights_to_start_from(model, warned, drawn, tmp_path, caplog):
    stages = {"stage_filters": (8,), "stage_depths": (1,)} if model == "MTNet" else {}
    recipe = Recipe(model=model, root=str(drawn), output=str(tmp_path / "run"), **stages)
    Run(recipe, join(recipe), continues=False)._announce()
    assert ("Training from scratch on 32 videos" in caplog.text) == warned


def test_missing_videos_are_counted_and_listed(drawn, tmp_path, caplog):
    lists = some_videos(drawn, tmp_path / "lists", 4, 2)
    with open(tmp_path / "lists" / "trainlist01.txt", "a") as file:
        file.write("Fall/gone1.avi 3\nFall/gone2.avi 3\n")
    recipe = Recipe(
        root=str(drawn),
        annotations=lists,
        output=str(tmp_path / "run"),
        batch_size=4,
        epochs=1,
        ratio=1,
        **TINY,
    )
    caplog.set_level("INFO", logger="absl")
    run = train(recipe)
    assert (run / "missing.txt").read_text() == "Fall/gone1.avi\nFall/gone2.avi\n"
    assert "2 listed videos are missing, e.g. Fall/gone1.avi, Fall/gone2.avi" in caplog.text
    assert "MTNet on 4 videos" in caplog.text


def test_mixed_clips_train_on_soft_labels(drawn, tmp_path):
    """The loss of a batch of mixed clips is that of shares; tests count whole clips as ever."""
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]),
        output=str(tmp_path / "run"),
        augment="strong",
        batch_size=4,
        epochs=1,
        ratio=1,
        **TINY,
    )
    run = train(recipe)
    with open(run / "history.csv", newline="") as file:
        (epoch,) = csv.DictReader(file)
    assert 0 <= float(epoch["val_accuracy"]) <= 1 and np.isfinite(float(epoch["loss"]))
    model, stored = load_run(run)
    assert stored.augment == "strong" and model.output_shape == (None, 2)


def test_multigrid_traces_every_shape_once(drawn, tmp_path, monkeypatch):
    """A run through all of its shapes ends in the plain one, with a network of that shape."""
    traced, convolve = [], MTBlock._convolve

    def watched(self, x, affines, training):
        if training:
            traced.append(tuple(x.shape))
        return convolve(self, x, affines, training)

    monkeypatch.setattr(MTBlock, "_convolve", watched)
    settings = {**TINY, "size": 32, "batch_size": 2, "epochs": 8, "ratio": 1}
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]),
        output=str(tmp_path / "run"),
        multigrid=True,
        **settings,
    )
    run = train(recipe)
    shapes = {epoch.shape for epoch in plan(load_run(run)[1], 8)}
    # The stem halves the size, and the selection before the block the frames.
    inside = [(n, max(1, t // 2), s // 2, s // 2, 24) for n, t, _, s in shapes]
    assert len(shapes) == 7 and sorted(traced) == sorted(inside)
    model, _ = load_run(run)
    assert model.input_shape == (None, 4, 32, 32, 3) and model.clip_spec.size == 32


def test_the_average_is_tested_and_kept(drawn, tmp_path):
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]),
        output=str(tmp_path / "run"),
        ema_momentum=0.5,
        checkpoint_steps=1,
        batch_size=4,
        epochs=1,
        ratio=1,
        **TINY,
    )
    run = train(recipe)
    with np.load(sorted((run / "checkpoints").iterdir())[-1]) as file:
        stored = {name.split("/", 2)[2]: file[name] for name in file.files if name != "state"}
    for model in (load_run(run)[0], load_run(run, best=True)[0]):
        for variable in model.trainable_variables:
            path = variable.path.replace("/", "_")
            average = stored[f"layerwise_sgd/{path}_average"]
            np.testing.assert_array_equal(np.array(variable), average, err_msg=variable.path)
    assert not np.array_equal(
        stored["stem_conv/kernel"], stored["layerwise_sgd/stem_conv_kernel_average"]
    )


def test_frozen_statistics_stay_those_of_the_weights(run, drawn, tmp_path):
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise", "Spin"]),
        output=str(tmp_path / "run"),
        weights=str(run / "best.weights.h5"),
        batch_norm="frozen",
        batch_size=4,
        epochs=1,
        ratio=1,
        **TINY,
    )
    train(recipe)
    (source, _), (model, _) = load_run(run, best=True), load_run(tmp_path / "run")
    before = {v.path: np.array(v) for v in source.weights}
    norms = ("gamma", "beta", "moving_mean", "moving_variance")
    for variable in model.weights:
        same = np.array_equal(np.array(variable), before[variable.path])
        if variable.name in norms:
            assert same, variable.path
        elif variable.name == "kernel" and "recurrence" not in variable.path:
            assert not same, variable.path


def test_a_run_whose_loss_is_no_number_stops(run, drawn, tmp_path):
    model, _ = load_run(run)
    broken = tmp_path / "broken.weights.h5"
    model.get_layer("predictions").bias.assign([np.nan] * 3)
    model.save_weights(broken)
    recipe = Recipe(
        root=class_folders(drawn, tmp_path / "videos", ["Fall", "Rise", "Spin"]),
        output=str(tmp_path / "run"),
        weights=str(broken),
        batch_size=4,
        epochs=1,
        ratio=1,
        **TINY,
    )
    with pytest.raises(FloatingPointError, match="nan at batch 1 of epoch 1; ") as error:
        train(recipe)
    assert len(re.findall(r"\w+/v_\w+\.\w+", str(error.value))) == 4  # the videos of the batch
    assert not (tmp_path / "run" / "model.keras").exists()


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


@pytest.mark.parametrize("name", ["two\nlines", os.fsdecode(b"\xff latin")])
def test_class_names_that_are_no_line_of_text_are_refused(drawn, tmp_path, name):
    root = Path(class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]))
    (root / "Rise").rename(root / name)
    with pytest.raises(ValueError, match="one line of UTF-8"):
        train(Recipe(root=root, output=tmp_path / "run", **TINY))
    assert not (tmp_path / "run").exists()
