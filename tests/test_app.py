import importlib.util
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.app import answer, make_app
from keras_mtnet.data.synthetic import write_video
from keras_mtnet.video import VideoError

pytest.importorskip("matplotlib")
NAMES = ["jump", "run", "swim"]
BROKEN = np.random.default_rng(0).bytes(1000)
without_gradio = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason='gradio: pip install "keras-mtnet[app]"'
)


@pytest.fixture(scope="module")
def model():
    model = mt.MTNet((8,), (1,), classes=3, input_shape=(4, 32, 32, 3))
    model.clip_spec = mt.ClipSpec(stride=2, class_names=NAMES)
    return model


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "clip.mp4"
    write_video(str(path), np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), "uint8"))
    return str(path)


def test_answer(model, upload, tmp_path):
    best, strip, moving = answer(model, upload, tmp_path)
    assert list(best.items()) == mt.predict_video(model, upload, num_clips=1, num_crops=1)
    assert all(tmp_path in (tmp_path / each).parents for each in (strip, moving))
    shown = mt.video.read_frames(moving, range(4))
    assert shown.shape[1:] == (224, 224, 3) and shown.std() > 10
    assert answer(model, upload, tmp_path)[1] != strip  # of two visitors, each has their own


def test_uploads_that_cannot_be_answered(model, upload, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(BROKEN)
    with pytest.raises(VideoError, match=r"^broken.mp4: not a readable video"):
        answer(model, str(broken), tmp_path)
    with pytest.raises(ValueError, match=r"clip.mp4 is too large: .* at most 0.001 MB"):
        answer(model, upload, tmp_path, megabytes=0.001)
    with pytest.raises(ValueError, match="Drop a video first"):
        answer(model, None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_wrong_settings(tmp_path):
    unknown = mt.MTNet((8,), (1,), classes=3)
    with pytest.raises(ValueError, match="does not know its frames and size and stride"):
        make_app(unknown, tmp_path)
    with pytest.raises(ValueError, match="megabytes must be a number above 0"):
        make_app(unknown, tmp_path, megabytes=0)


def test_without_gradio_the_error_tells_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r'pip install "keras-mtnet\[app\]"'):
        make_app(model, tmp_path)


@pytest.fixture(scope="module")
def address(model, tmp_path_factory):
    """A page that is served as by the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("app")
    model.save(folder / "small.keras")
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "keras_mtnet.cli", "app", "--port", "0", "--megabytes", "1"]
    environment = {"TMPDIR": str(folder / "tmp")}
    with subprocess.Popen(
        [*command, "--model", folder / "small.keras"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        assert "The page is at http://127.0.0.1:" in line
        yield line.split()[4].rstrip("/")
        assert any((folder / "tmp").iterdir())
        process.terminate()
        process.wait(60)
    assert not list((folder / "tmp").glob("keras_mtnet_*"))


def send(address, name, content):
    """Uploads a file as the page does; the path that it has there."""
    body = b"--x\r\nContent-Disposition: form-data; name=files; filename=" + name.encode()
    body += b"\r\nContent-Type: video/mp4\r\n\r\n" + content + b"\r\n--x--\r\n"
    header = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}/gradio_api/upload", body, header)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)[0]


def look(address, path):
    """What the button does: events of the queue up to the last."""
    data = json.dumps({"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}).encode()
    header = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/gradio_api/call/look", data, header)
    with urllib.request.urlopen(request) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/look/{event}") as reply:
        return reply.read().decode()


@without_gradio
def test_page(address, upload):
    with open(upload, "rb") as file:
        path = send(address, "clip.mp4", file.read())
    text = look(address, path)
    assert "event: complete" in text and any(f'"label": "{name}"' in text for name in NAMES)
    assert "saliency.gif" in text and "strip.png" in text
    with urllib.request.urlopen(address) as reply:
        assert "https://fonts" not in reply.read().decode()


@without_gradio
def test_page_refuses_what_is_no_video_or_too_large(address):
    assert "not a readable video" in look(address, send(address, "x.mp4", BROKEN))
    with pytest.raises(urllib.error.HTTPError) as refused:
        send(address, "large.mp4", bytes(2_000_000))
    assert refused.value.code == 413
