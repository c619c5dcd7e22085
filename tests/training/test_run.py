"""Training: several devices, mixed clips, multigrid, averages, frozen statistics."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from small_runs import TINY, class_folders, some_videos

from keras_mtnet.layers import MTBlock
from keras_mtnet.training import Recipe, load_run, train
from keras_mtnet.training.plan import plan

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
