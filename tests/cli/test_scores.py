"""`keras-mtnet evaluate`: scores, tables and pictures of a run."""

import json
import shutil
import subprocess
import sys

from command_line import run


def test_evaluate(trained, drawn, capfd, tmp_path):
    picture = tmp_path / "confusion.png"
    views = ("--num_clips", 2, "--num_crops", 1)
    status, out, _ = run(capfd, "evaluate", "--run", trained, *views, "--picture", picture)
    assert status == 0
    assert out.startswith("top-1 0.") and "16 of 16 videos scored" in out
    assert picture.stat().st_size > 1000
    status, out, _ = run(
        capfd, "evaluate", "--run", trained, *views, "--root", drawn, "--subset", "test", "--json"
    )
    result = json.loads(out)  # nothing but JSON
    assert status == 0 and result["scored"] == 16 and result["chance"] == 1 / 8


def test_evaluate_writes_scores_and_confusion(trained, tmp_path, capfd):
    scores, confusion = tmp_path / "scores.csv", tmp_path / "confusion.csv"
    command = ("evaluate", "--run", trained, "--num_clips", 2, "--num_crops", 1)
    outputs = ("--averaging", "logits", "--scores", scores, "--confusion", confusion)
    status, out, err = run(capfd, *command, *outputs)
    assert (status, err) == (0, "") and "95 % interval" not in out  # there is one test group
    assert len(confusion.read_text().splitlines()) == 9
    rows = scores.read_text().splitlines()
    assert len(rows) == 2 + 16
    scores.write_text("\n".join(rows[:7]) + "\n" + rows[7][:-5])  # as a kill leaves it
    assert run(capfd, *command, *outputs)[:2] == (0, out)
    assert scores.read_text().splitlines() == rows
    status, _, err = run(capfd, *command, "--scores", scores)
    assert (status, err.count("\n")) == (1, 1)
    assert 'averaging was "logits", now "probabilities"' in err


def test_evaluate_on_several_devices(trained, capfd):
    """In a process of its own, whose CPU is split before TensorFlow runs."""
    command = ["evaluate", "--run", trained, "--json", "--num_clips", "2", "--num_crops", "1"]
    _, out, _ = run(capfd, *command)
    command = [sys.executable, "-m", "keras_mtnet.cli", *command, "--strategy", "mirrored"]
    done = subprocess.run([*command, "--logical_cpus", "2"], capture_output=True, text=True)
    assert json.loads(done.stdout)["confusion"] == json.loads(out)["confusion"], done.stderr


def test_evaluate_counts_missing_videos(trained, drawn, tmp_path, capfd):
    for name in ("classInd.txt", "trainlist01.txt", "testlist01.txt"):
        shutil.copy(drawn / name, tmp_path)
    with open(tmp_path / "testlist01.txt", "a") as file:
        file.write("Fall/v_Fall_g99_c01.avi\n")
    views = ("--num_clips", 1, "--num_crops", 1)
    status, out, err = run(
        *(capfd, "evaluate", "--run", trained, *views, "--root", drawn, "--annotations", tmp_path)
    )
    assert (status, err) == (0, "")
    assert "16 of 17 videos scored, 1 missing\n  Fall/v_Fall_g99_c01.avi: missing\n" in out


def test_evaluate_refuses_other_classes(trained, tmp_path, capfd):
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    status, _, err = run(
        capfd, "evaluate", "--run", trained, "--root", tmp_path, "--data", "folder"
    )
    assert status == 1
    assert "trained with class_names=('DriftFast'" in err and "class_names=('a', 'b')" in err
