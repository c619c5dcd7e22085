"""`keras-mtnet predict`, `export` and `app`: files, folders, addresses, cameras, exports."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from command_line import run
from PIL import Image
from range_server import serve
from streams import sending

import keras_mtnet as mt


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
