"""What a run is begun with, and what stops it before anything is written."""

import os
from pathlib import Path

import numpy as np
import pytest
from small_runs import TINY, class_folders, contents, some_videos

from keras_mtnet.training import Recipe, load_run, train
from keras_mtnet.training.distributed import join
from keras_mtnet.training.run import Run


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


@pytest.mark.parametrize("name", ["two\nlines", os.fsdecode(b"\xff latin")])
def test_class_names_that_are_no_line_of_text_are_refused(drawn, tmp_path, name):
    root = Path(class_folders(drawn, tmp_path / "videos", ["Fall", "Rise"]))
    (root / "Rise").rename(root / name)
    with pytest.raises(ValueError, match="one line of UTF-8"):
        train(Recipe(root=root, output=tmp_path / "run", **TINY))
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
