import contextlib
import os
import socket

import numpy as np
import pytest
from range_server import Ranges, serve

from keras_mtnet.data.synthetic import write_video
from keras_mtnet.video import VideoError, download, open_video
from keras_mtnet.video.download import local_video


class Odd(Ranges):
    """Answers some paths wrongly."""

    def do_GET(self):
        if self.path == "/short.mp4":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        elif self.path == "/endless.mp4":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(2**16))
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def address(tmp_path):
    write_video(str(tmp_path / "a.mp4"), np.zeros((5, 32, 48, 3), "uint8"))
    with serve(tmp_path, Odd) as (url, _):
        yield url


def test_an_address_is_a_file_while_it_is_used(address):
    for tail in ("/a.mp4", "/a.mp4?key=1", "/to//a.mp4"):
        with local_video(address + tail) as path:
            assert open_video(path).frame_count == 5
        assert not os.path.exists(os.path.dirname(path))  # nothing is left


def test_other_sources_stay_as_they_are(tmp_path):
    for source in ("a.mp4", tmp_path, b"x", [np.zeros((2, 2, 3), "uint8")], "rtsp://a/b"):
        with local_video(source) as same:
            assert same is source


def test_what_is_wrong_is_named(address, monkeypatch):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{found.getsockname()[1]}/a.mp4"
    monkeypatch.setattr(download, "LIMIT", 2**20)
    for url, message in (
        (f"{address}/gone.mp4", "the server answers 404"),
        (f"{address}/short.mp4", "ended after 10 of 1000 bytes"),
        (f"{address}/endless.mp4", "more than 1 MB; download it yourself"),
        (f"{address}/to/file:///etc/passwd", "the server answers 302|cannot be downloaded"),
        (nobody, "cannot be downloaded"),
        ("http://[", "cannot be downloaded"),
    ):
        with pytest.raises(VideoError, match=message) as caught, local_video(url):
            pass
        assert caught.value.name == url
    monkeypatch.setattr(download, "LIMIT", 100)
    with pytest.raises(VideoError, match="more than"), local_video(f"{address}/a.mp4"):
        pass
