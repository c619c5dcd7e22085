"""Finding files of weights: paths, the cache, and downloads from a server that does much wrong."""

import contextlib
import dataclasses
import hashlib
import http.server
import os
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from keras_mtnet import presets
from keras_mtnet.weights import hub, load_weights
from keras_mtnet.weights.hub import cache_folder, locate, locate_preset

NAME = "net.weights.h5"
pytestmark = pytest.mark.usefixtures("home")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


class Handler(http.server.BaseHTTPRequestHandler):
    """Behaves as `server.mode` says, and counts."""

    def do_GET(self):
        self.server.paths.append(self.path)
        getattr(self, self.server.mode)()

    def log_message(self, *args):
        pass

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer(self.server.body)

    def truncated(self):
        self.answer(self.server.body[:-100], len(self.server.body))

    def stalled(self):
        self.answer(self.server.body[:1000], len(self.server.body))
        self.server.wake.wait(20)

    def corrupt(self):
        body = bytearray(self.server.body)
        body[len(body) // 2] ^= 1
        self.answer(bytes(body))

    def page(self):
        self.answer(b"<html>Sign in</html>")

    def empty(self):
        self.answer(b"")

    def bomb(self):
        self.answer(pickle.dumps(Bomb()))

    def redirect(self, target):
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def redirected(self):
        return self.good() if self.path.startswith("/moved/") else self.redirect("/moved/x")

    def round_in_circles(self):
        self.redirect(self.path)

    def to_a_file(self):
        self.redirect("file:///etc/hostname")

    def missing(self):
        self.send_error(404)

    def broken(self):
        self.send_error(500)


@pytest.fixture(scope="module")
def body(network, tmp_path_factory):
    """A file of weights."""
    path = tmp_path_factory.mktemp("server") / NAME
    network.save_weights(path)
    return path.read_bytes()


@pytest.fixture
def server(body):
    pytest.importorskip("pooch")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.mode, server.paths = body, "good", []
    server.sha256 = hashlib.sha256(server.body).hexdigest()
    server.wake = threading.Event()
    server.root = f"http://127.0.0.1:{server.server_port}"
    server.url = f"{server.root}/{NAME}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.wake.set()
    with contextlib.suppress(OSError):
        server.shutdown()
        server.server_close()


def files(folder):
    """What is in the cache."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_download(server, home):
    path = locate(server.url)
    assert path.read_bytes() == server.body and path.is_relative_to(home)
    assert files(home) == [NAME]
    server.shutdown()
    server.server_close()
    assert locate(server.url) == path  # offline
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    "mode, error",
    [
        ("truncated", (OSError, ValueError)),
        ("stalled", OSError),
        ("corrupt", ValueError),
        ("missing", OSError),
        ("broken", OSError),
        ("page", ValueError),
        ("bomb", ValueError),
        ("empty", ValueError),
        ("round_in_circles", OSError),
        ("to_a_file", (OSError, ValueError)),
    ],
)
def test_bad_server(server, home, monkeypatch, mode, error):
    """An error, nothing left behind, and the next try works."""
    monkeypatch.chdir(home.parent)
    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    address = f"{server.url}#sha256={server.sha256}"
    server.mode = mode
    with pytest.raises(error):
        locate(address)
    assert files(home) == [] and not Path("exploded").exists()
    server.mode = "good"
    assert locate(address).read_bytes() == server.body


@pytest.mark.parametrize("mode", ["page", "bomb", "empty"])
def test_no_weights_without_a_checksum(server, home, monkeypatch, mode):
    monkeypatch.chdir(home.parent)
    server.mode = mode
    with pytest.raises(ValueError, match=r"is not a \.h5 file"):
        locate(server.url)
    assert files(home) == [] and not Path("exploded").exists()


def test_redirect(server):
    server.mode = "redirected"
    assert locate(server.url).read_bytes() == server.body
    assert server.paths == [f"/{NAME}", "/moved/x"]


def test_no_server(server, home):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        locate(server.url)
    assert files(home) == []


def test_hugging_face(monkeypatch, tmp_path):
    """Left to their own library, with the revision that the address names."""
    calls = []

    def download(repo, file, revision):
        calls.append((repo, file, revision))
        return str(tmp_path / file)

    fake = types.SimpleNamespace(hf_hub_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    assert locate(f"hf://some.one/re-po/sub/{NAME}") == tmp_path / "sub" / NAME
    locate(f"hf://some.one/re-po@v1.0/{NAME}")
    assert calls == [
        ("some.one/re-po", f"sub/{NAME}", None),
        ("some.one/re-po", NAME, "v1.0"),
    ]


@pytest.mark.parametrize(
    "address, package",
    [(f"hf://some/one/{NAME}", "huggingface_hub"), (f"http://127.0.0.1/{NAME}", "pooch")],
)
def test_missing_package(monkeypatch, address, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{package}: pip install "keras-mtnet\[hub\]"'):
        locate(address)


@pytest.mark.parametrize(
    "address",
    [
        "hf://only/two.keras",
        f"hf://a/b/../../{NAME}",
        "hf://a/b/net.pth",
        f"ftp://127.0.0.1/{NAME}",
        f"http:///{NAME}",
        f"http://127.0.0.1/{NAME}#sha256=12",
        "http://127.0.0.1/net.pth",
        "http://127.0.0.1/",
    ],
)
def test_wrong_address(address, home):
    with pytest.raises(ValueError) as raised:
        locate(address)
    assert address in str(raised.value) and not home.exists()


def test_the_file_stays_in_its_folder(server, home):
    """What a path may mean to a shell or a file system means nothing in an address."""
    for name in ("..%2F..%2Fup.weights.h5", "a\\..\\up.weights.h5", "~up.weights.h5"):
        path = locate(f"{server.root}/{name}?x=/../{name}")
        assert path.resolve().is_relative_to(home.resolve())
        assert len(path.relative_to(home).parts) == 2


LOADED = """
import sys
from keras_mtnet.weights.hub import locate
print(locate(sys.argv[1]).stat().st_size)
"""


def test_two_processes_at_once(server):
    """Each finds the whole file, whoever came first."""
    command = [sys.executable, "-c", LOADED, server.url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [int(process.communicate()[0]) for process in both] == [len(server.body)] * 2


def published(preset, server, monkeypatch):
    changed = dataclasses.replace(preset, url=server.url, sha256=server.sha256)
    monkeypatch.setitem(presets.PRESETS, (preset.model, preset.weights), changed)
    return changed


def test_preset_with_an_address(server, tiny, home, network, monkeypatch):
    preset = published(tiny, server, monkeypatch)
    assert load_weights(network, "tiny") == []
    assert files(home) == [preset.file]
    assert load_weights(network, "tiny") == [] and len(server.paths) == 1
    (home / preset.file).write_bytes(server.body + b"more")
    with pytest.raises(ValueError, match=f"should be {server.sha256}.*Delete it"):
        load_weights(network, "tiny")


def test_preset_whose_file_was_exchanged(server, tiny, home, monkeypatch):
    server.mode = "corrupt"
    with pytest.raises(ValueError, match="hash"):
        locate_preset(published(tiny, server, monkeypatch))
    assert files(home) == []


def test_published_file(tiny, tmp_path, monkeypatch, body):
    """A file in the package needs no cache."""
    monkeypatch.setattr(hub, "published_folder", lambda: tmp_path)
    (tmp_path / tiny.file).write_bytes(body)
    assert locate_preset(tiny) == tmp_path / tiny.file


def test_preset_without_a_file(tiny, home):
    with pytest.raises(FileNotFoundError) as raised:
        locate_preset(tiny)
    for part in (tiny.checkpoint, "convert-weights", "--model MTNetS", str(home / tiny.file)):
        assert part in str(raised.value)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_MTNET_HOME", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("KERAS_MTNET_HOME")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "keras_mtnet"
    monkeypatch.delenv("KERAS_HOME")
    assert cache_folder() == Path.home() / ".keras" / "keras_mtnet"
