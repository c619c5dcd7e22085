import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from range_server import serve
from streams import sending

import keras_mtnet as mt
from keras_mtnet import cli

TRAIN = (
    *("train", "--model", "MTNet", "--stage_filters", "8", "--stage_depths", "1", "--ratio", "1"),
    *("--frames", "4", "--size", "16", "--batch_size", "8", "--epochs", "1"),
)
OUTPUT = ("train", "--root", "r", "--output", "o")


def run(capfd, *arguments: object) -> tuple[int, str, str]:
    """Runs the command in this process: exit status, stdout, stderr."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(each) for each in arguments])
    return int(stopped.value.code or 0), *capfd.readouterr()


@pytest.fixture(scope="module", autouse=True)
def begun() -> None:
    """TensorFlow writes to stderr at its first operation in a process."""
    keras.ops.ones(1)


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory) -> Path:
    """A run made as a person makes it: by the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = [sys.executable, "-m", "keras_mtnet.cli", *TRAIN]
    done = subprocess.run(
        [*command, "--root", drawn, "--output", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "32 videos of 8 classes, validated on 16" in done.stdout
    assert f"keras-mtnet evaluate --run {folder}" in done.stdout
    assert done.stderr == ""  # no notes of TensorFlow, either
    return folder


def test_help_needs_no_tensorflow(capfd):
    """So it comes at once."""
    script = (
        "import sys; from keras_mtnet import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "finally: assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--precision {float32,mixed_float16,mixed_bfloat16,auto}" in done.stdout
    status, out, _ = run(capfd, "--help")
    assert status == 0
    names = "info list train evaluate predict export pack check-videos convert-weights".split()
    assert all(f"  {name} " in out or f"  {name}\n" in out for name in names)


def test_help_shows_defaults_and_recipes(capfd):
    _, out, _ = run(capfd, "train", "--help")
    text = " ".join(out.split())
    assert "share of the local branch, 0 < ratio <= 1 (default: 7/8)" in text
    assert "ucf101 (data=ucf101 model=MTNetM epochs=150" in text


def test_info(capfd):
    status, out, err = run(capfd, "info", "MTNetS", "--input", "16x64x48", "--classes", 101)
    assert (status, err) == (0, "")
    assert out.startswith("mtnet_s, one clip of 16x64x48x3")
    _, own, _ = run(
        *(capfd, "info", "MTNet", "--stage_filters", "8,16", "--stage_depths", "1,1"),
        *("--ratio", "1/2", "--input", "4x16x16"),
    )
    assert "stage2" in own and "stage3" not in own


def test_flags_override_the_recipe(capfd, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("keras_mtnet.training.run.train", lambda *a, **k: seen.append((a, k)))
    monkeypatch.setattr("keras_mtnet.training.train", None, raising=False)
    monkeypatch.delattr("keras_mtnet.training.train")
    status, _, err = run(
        *(capfd, "train", "--recipe", "ucf101", "--root", "UCF-101", "--output", "o"),
        *("--epochs", 3, "--ratio", "3/4", "--multigrid", "--logical_cpus", 2),
    )
    assert status == 0, err
    ((recipe,), keywords) = seen[0]
    assert (recipe.data, recipe.model, recipe.backbone_lr_multiplier) == ("ucf101", "MTNetM", 0.1)
    assert (recipe.epochs, recipe.ratio, recipe.multigrid) == (3, 0.75, True)
    assert keywords == {"resume": False, "logical_cpus": 2}


def test_resume_takes_the_recipe_of_the_run(trained, drawn, capfd):
    """Nothing but the folder is needed, and flags that say otherwise are refused."""
    status, out, err = run(capfd, "train", "--resume", "--output", trained)
    assert (status, err) == (0, "") and "finished already" in out
    status, _, err = run(capfd, "train", "--resume", "--output", trained, "--batch_size", 3)
    assert status == 1 and "cannot continue: batch_size was " in err


def test_dry_run(drawn, tmp_path, capfd):
    output = ("--root", drawn, "--output", tmp_path / "run")
    status, out, err = run(capfd, *TRAIN, *output, "--dry_run", "--multigrid", "--epochs", 5)
    assert (status, err) == (0, "")
    assert '"multigrid": true' in out and "rate x" in out and "A step takes" in out
    assert [path.name for path in tmp_path.iterdir()] == ["run_schedule.png"]


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


def test_predict(trained, drawn, capfd, tmp_path):
    videos = sorted((drawn / "Fall").iterdir())[:2]
    picture = tmp_path / "picture.png"
    one = (videos[0], "--top", 3, "--num_clips", 1, "--num_crops", 1)
    status, out, _ = run(capfd, "predict", "--run", trained, *one, "--picture", picture)
    assert status == 0
    assert out.splitlines()[0] == str(videos[0]) and len(out.splitlines()) == 4
    assert picture.stat().st_size > 1000
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    status, out, err = run(capfd, "predict", "--run", trained, text, videos[1], "--json", "--best")
    first, second = json.loads(out)
    assert status == 1  # one could not be read; the other was predicted
    assert first["video"] == str(text) and first["error"] in err
    assert len(second["predictions"]) == 5
    assert err.count("\n") == 1


def test_predict_a_folder(trained, drawn, capfd, tmp_path):
    """A line for each video, those further down as well; a bad one does not stop the others."""
    views = ("--num_clips", 1, "--num_crops", 1, "--top", 2)
    for number, video in enumerate(sorted((drawn / "Fall").iterdir())[:2]):
        (tmp_path / f"{number}").mkdir()
        shutil.copy(video, tmp_path / f"{number}" / video.name)
    (tmp_path / "0" / "a.mp4").write_text("not a video")
    (tmp_path / "0" / "notes.txt").write_text("passed over")
    (tmp_path / "empty").mkdir()
    status, out, err = run(capfd, "predict", "--run", trained, tmp_path, tmp_path / "empty", *views)
    lines = out.splitlines()
    assert status == 1 and len(lines) == 3 and err.count("\n") == 1
    assert lines[0].startswith(f"{tmp_path}/0/a.mp4: error: ") and "empty" in err
    assert all(re.search(r": \w+ 0\.\d{4}, \w+ 0\.\d{4}$", line) for line in lines[1:])
    pictures = tmp_path / "pictures"  # a folder of pictures is one video
    pictures.mkdir()
    for i in range(20):
        Image.new("RGB", (48, 32), (10 * i, 0, 0)).save(pictures / f"{i}.png")
    status, out, _ = run(capfd, "predict", "--run", trained, pictures, *views)
    assert status == 0 and out.splitlines()[0] == str(pictures) and len(out.splitlines()) == 3


def test_predict_with_a_network_by_name(drawn, capfd, tmp_path):
    """Built for clips of --frames and --size and the weights' classes; a file stays as it is."""
    weights = tmp_path / "x3d.weights.h5"
    mt.X3DXS(classes=3).save_weights(weights)
    video = sorted((drawn / "Fall").iterdir())[0]
    flags = ("--model", "X3DXS", "--weights", weights, "--stride", 1, "--num_clips", 1)
    clip = ("--frames", 6, "--size", 64)
    status, out, err = run(capfd, "predict", video, *flags, *clip, "--json")
    assert status == 0 and len(json.loads(out)[0]["predictions"]) == 3, err
    headless = tmp_path / "headless.weights.h5"
    mt.X3DXS(include_top=False).save_weights(headless)
    status, _, err = run(capfd, "predict", video, "--model", "X3DXS", "--weights", headless)
    assert status == 1 and "headless.weights.h5 has no classifier" in err
    saved = tmp_path / "x3d.keras"
    model = mt.X3DXS(classes=3, input_shape=(4, 64, 64, 3))
    model.clip_spec = mt.ClipSpec(frames=4, stride=1, size=64)
    model.save(saved)
    status, _, err = run(capfd, "predict", video, "--model", saved, *clip)
    assert status == 1 and "takes clips of frames=4. Received: frames=6" in err


def test_app_takes_real_weights_by_itself(monkeypatch, capfd):
    asked = []
    monkeypatch.setattr("keras_mtnet.cli.explanations.load_network", asked.append)
    monkeypatch.setattr("keras_mtnet.app.run_app", lambda model, **options: None)
    for flags, expected in (
        ((), ("I3D", "kinetics400", None)),
        (("--weights", "a.ckpt"), ("I3D", "a.ckpt", None)),
        (("--run", "runs/a"), ("I3D", "kinetics400", "runs/a")),  # a run comes first
    ):
        run(capfd, "app", *flags)
        got = asked.pop()
        assert (got.model, got.weights, got.run) == expected


def test_predict_an_address(trained, drawn, capfd):
    video = sorted((drawn / "Fall").iterdir())[0]
    with serve(video.parent) as (url, _):
        places = (f"{url}/{video.name}", f"{url}/gone.mp4")
        status, out, err = run(capfd, "predict", "--run", trained, *places, "--num_clips", 1)
    assert status == 1 and out.splitlines()[0] == places[0] and len(out.splitlines()) == 6
    assert f"{places[1]}: the server answers 404" in err


def test_predict_over_time(trained, drawn, capfd, tmp_path):
    video = next((drawn / "Fall").glob("*.mp4"))
    files = [tmp_path / f"a.{kind}" for kind in ("csv", "srt", "png")]
    outputs = [word for file in files for word in ("--output", file)]
    flags = ("--timeline", "--step", 0.5, "--threshold", 0, *outputs)
    copy = ("--annotate", tmp_path / "a.mp4")
    status, out, err = run(capfd, "predict", "--run", trained, video, *flags, *copy)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"  0:00:00\.00 - 0:00:\d\d\.\d\d  [01]\.\d{4}  \w+", out.splitlines()[1])
    assert all(file.stat().st_size for file in (*files, tmp_path / "a.mp4"))
    status, out, _ = run(capfd, "predict", "--run", trained, video, *flags, "--json")
    (found,) = json.loads(out)
    rows = files[0].read_text().splitlines()
    assert len(found["segments"]) == len(rows) - 1 and rows[0] == "start,end,label,score"
    status, out, err = run(capfd, "predict", "--run", trained, video, "--timeline", "--step", 60)
    assert status == 1 and out == "" and f"{video}: it lasts 1" in err


def test_predict_a_camera(trained, capfd):
    frames = np.random.default_rng(0).integers(0, 256, (40, 32, 48, 3)).astype("uint8")
    with sending(frames) as address:
        status, out, err = run(capfd, "predict", "--run", trained, "--camera", address, "--top", 2)
    assert (status, err) == (0, "")
    assert re.fullmatch(r" +\d\.\d\d s  \w+ 0\.\d{4}, \w+ 0\.\d{4}", out.splitlines()[-1])
    assert float(out.splitlines()[-1].split()[0]) == pytest.approx(39 / 25)


def test_predict_refuses_flags_that_do_not_go_together(trained, drawn, capfd):
    for message, flags in (
        ("name videos, or a --camera. Received: none", ()),
        ("name videos, or a --camera. Received: both", ("a.mp4", "--camera", "0")),
        (
            "--annotate is for one video. Received: a.mp4 b.mp4",
            ("a.mp4", "b.mp4", "--annotate", "c"),
        ),
        ("--picture is for one video", (drawn, "--picture", "a.png")),
        ("--output is for one video. Received: a camera", ("--camera", "0", "--output", "a.csv")),
        ("--output is of --timeline", ("a.mp4", "--output", "a.csv")),
        ("--output x.png", ("a.mp4", "--timeline", "--picture", "a.png")),
    ):
        status, out, err = run(capfd, "predict", "--run", trained, *flags)
        assert (status, out, err.count("\n")) == (1, "", 1) and message in err


def test_export(trained, capfd, tmp_path):
    output = tmp_path / "export"
    status, out, err = run(capfd, "export", "--run", trained, "--output", output)
    assert status == 0, err
    assert (output / "saved_model.pb").is_file()
    assert out.startswith(f"{output} takes uint8 clips (N, 4x16x16x3): scores differ by at most ")
    assert out.endswith(f" clips; the best class is the same on 2\nWrote {output}\n")
    before = sorted(os.listdir(output))
    status, _, err = run(capfd, "export", "--run", trained, "--output", output)
    assert (status, err.count("\n")) == (1, 1)
    assert "not empty" in err and sorted(os.listdir(output)) == before


@pytest.mark.parametrize("format, name", [("onnx", "m.onnx"), ("litert", "m.tflite")])
def test_export_to_a_file_and_predict_with_it(trained, drawn, capfd, tmp_path, format, name):
    pytest.importorskip("tf2onnx")
    video, output = sorted(drawn.glob("Spin/*.mp4"))[0], tmp_path / name
    arguments = ("export", "--run", trained, "--format", format, "--output", output)
    status, out, err = run(capfd, *arguments, "--check", video)
    assert status == 0, err
    assert "on 1 clips; the best class is the same on 1" in out
    status, _, err = run(capfd, *arguments)
    assert (status, err.count("\n")) == (1, 1) and "exists; nothing was written" in err
    views = ("--num_clips", 2, "--num_crops", 1, "--json")
    status, out, err = run(capfd, "predict", "--model", output, video, *views)
    assert status == 0, err
    _, expected, _ = run(capfd, "predict", "--run", trained, video, *views)
    found, expected = (json.loads(text)[0]["predictions"] for text in (out, expected))
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    flags = ("--format", "onnx", "--precision", "int8", "--output", tmp_path / "other.onnx")
    status, _, err = run(capfd, "export", "--run", trained, *flags)
    assert status == 1 and "--precision int8, which only --format litert takes" in err


# --- Bad input: one line on stderr, exit status 1 or 2, nothing written ------------------------


def test_bad_data_and_output(trained, drawn, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "only").mkdir(parents=True)
    (tmp_path / "one" / "only" / "a.mp4").write_text("not a video")
    (tmp_path / "file").write_text("")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    cases = [
        ("no class folder", {"--root": tmp_path / "empty"}),
        ("at least two classes", {"--root": tmp_path / "one"}),
        ("cannot be made", {"--output": tmp_path / "file" / "run"}),
        ("not empty; nothing in it was touched", {"--output": trained}),
        ("ratio must be in (0, 1]. Received: ratio=1.5", {"--ratio": 1.5}),
        ("epochs must be an integer of at least 1", {"--epochs": 0}),
        ("cell must be one of", {"--cell": "transformer"}),
    ]
    for message, changes in cases:
        flags = {"--root": drawn, "--output": tmp_path / "run", **changes}
        status, out, err = run(capfd, *TRAIN, *(x for pair in flags.items() for x in pair))
        assert status == 1 and message in err, err
        assert err.startswith("keras-mtnet train: error: ") and err.count("\n") == 1, err
        assert out == ""
        assert sorted(str(p) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("COMMAND", ()),
        ("invalid choice: 'trian'", ("trian",)),
        ("did you mean train?", ("trian",)),
        ("expected TxHxW, as 16x256x256, not '16x256'", ("info", "MTNetS", "--input", "16x256")),
        ("did you mean MTNetS?", ("info", "MTNet_S")),
        ("required: --output", ("train",)),
        ("invalid choice: 'onxx'", ("export", "--run", "r", "--output", "o", "--format", "onxx")),
        ("unrecognized arguments: --resum; did you mean --resume?", (*OUTPUT, "--resum")),
        ("--batch-size 4; did you mean --batch_size?", (*OUTPUT, "--batch-size", 4)),
        ("did you mean --num_clips?", ("predict", "--run", "r", "x.mp4", "--clips=3")),
        ("invalid int value: 'many'", (*OUTPUT, "--epochs", "many")),
        ("--multigrid: expected 0 or 1, not 'maybe'", (*OUTPUT, "--multigrid", "maybe")),
        ("not allowed with argument --run", ("export", "--run", "r", "--model", "m.keras")),
        ("one of the arguments --run --model is required", ("predict", "x.mp4")),
    ],
)
def test_wrong_usage_is_status_2(capfd, message, arguments):
    status, out, err = run(capfd, *arguments)
    assert (status, out) == (2, "")
    assert message in err and "Traceback" not in err
    assert err.startswith("keras-mtnet") and err.count("\n") == 1


@pytest.mark.parametrize(
    "value, given",
    [
        (True, ["--multigrid"]),
        (True, ["--multigrid", "1"]),
        (True, ["--multigrid=true"]),
        (False, ["--multigrid", "0"]),
        (False, ["--nomultigrid"]),
        (False, ["--multigrid", "--nomultigrid"]),
    ],
)
def test_switches(value, given):
    arguments = cli._parse(["keras-mtnet", *OUTPUT, *given])
    assert arguments.multigrid is value
    assert "multigrid" not in cli._parse(["keras-mtnet", *OUTPUT])  # the recipe's value holds


def test_help_says_what_is_required_and_what_a_value_is(capfd):
    _, out, _ = run(capfd, "train", "--help")
    text = " ".join(out.split())
    assert "(default: )" not in text and "STR" not in text and "INTEGERS" not in text
    assert "--output DIR new folder for the run, outside the videos (required)" in text
    assert "--stage_filters N,N,... " in text and "--root DIR " in text and "--epochs N " in text
    for command in ("predict", "evaluate", "export", "pack", "check-videos", "info"):
        _, out, _ = run(capfd, command, "--help")
        assert "(default: )" not in out and "(default: None)" not in out


def test_terminals_that_show_few_characters(drawn, tmp_path):
    """Names are written with escapes for what the terminal lacks."""
    video = next((drawn / "Fall").glob("*.mp4"))
    shutil.copy(video, tmp_path / "日本.mp4")
    shutil.copy(video, os.fsencode(tmp_path) + b"/caf\xe9.mp4")  # a name that is not UTF-8
    for encoding, shown in (("cp1252", "\\u65e5\\u672c.mp4"), ("utf-8", "日本.mp4")):
        done = subprocess.run(
            [sys.executable, "-m", "keras_mtnet.cli", "check-videos", "--root", tmp_path],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        assert shown in text and "caf\\udce9.mp4" in text and "2 videos, 0 damaged" in text


def test_list(capfd):
    status, out, _ = run(capfd, "list")
    assert status == 0 and "MTNetM" in out and "hacs" in out


def test_tracebacks_only_on_demand(capfd, tmp_path):
    command = ("predict", "--run", tmp_path, "x.mp4")
    _, _, err = run(capfd, *command)
    assert "not the folder of a finished run" in err and "Traceback" not in err
    _, _, err = run(capfd, *command, "--verbosity=1")
    assert "Traceback" in err and "not the folder of a finished run" in err
    run(capfd, *command, "--verbosity=-1")


def test_a_list_of_ones_own(trained, drawn, capfd, tmp_path):
    """Evaluates a run on parts of videos, and refuses a wrong list with its line."""
    names = [f"{path.parent.name}/{path.name}" for path in sorted(drawn.glob("*/*_g03_c01.*"))]
    rows = [f"{name},{name.split('/')[0]},0.2,1.2" for name in names]
    listed = tmp_path / "parts.csv"
    listed.write_text("\n".join(["path,label,start,end", *rows]) + "\n")
    place = ("--data", "csv", "--root", drawn, "--annotations", listed, "--subset", "all")
    views = ("--num_clips", 1, "--num_crops", 1)
    status, out, err = run(capfd, "evaluate", "--run", trained, *place, *views)
    assert status == 0, err
    assert "8 of 8 videos scored" in out
    listed.write_text(listed.read_text() + "../secret.mp4,Fall,,\n")
    status, out, err = run(capfd, "evaluate", "--run", trained, *place, *views)
    assert (status, err.count("\n")) == (1, 1) and out == ""
    assert f"{listed}, line 10: '../secret.mp4' leaves the root" in err
