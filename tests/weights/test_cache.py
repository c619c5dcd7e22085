"""Downloads from a server that does everything wrong, and the cache, which must not mind."""

import contextlib
import hashlib
import http.server
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_mtnet.weights import download, load_weights, registry
from keras_mtnet.weights.cache import home as cache_home
from keras_mtnet.weights.cache import locate, locate_entry

NAME = "net.weights.h5"


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

    def answer(self, body, length=None, **headers):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer(self.server.body)

    def slow(self):
        self.answer(self.server.body[:1000], len(self.server.body))
        time.sleep(1)
        self.wfile.write(self.server.body[1000:])

    def held(self):
        self.answer(self.server.body[:1000], len(self.server.body))
        self.server.wake.wait(60)
        self.wfile.write(self.server.body[1000:])

    def truncated(self):
        self.answer(self.server.body[:-100], len(self.server.body))

    def stalled(self):
        self.answer(self.server.body[:1000], len(self.server.body))
        self.server.wake.wait(20)

    def silent(self):
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

    def redirected(self):
        if self.path.startswith("/moved/"):
            return self.good()
        return self.redirect(f"/moved{self.path}")

    def redirect(self, target, **headers):
        self.send_response(302)
        self.send_header("Location", target)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def round_in_circles(self):
        self.redirect(self.path)

    def to_a_file(self):
        self.redirect("file:///etc/hostname")

    def to_ftp(self):
        self.redirect("ftp://127.0.0.1/net.weights.h5")

    def missing(self):
        self.send_error(404)

    def broken(self):
        self.send_error(500)

    def hub(self):
        """As Hugging Face serves large files: a redirect that states the checksum."""
        if self.path.startswith("/storage"):
            return self.good()
        return self.redirect(f"/storage/{NAME}", X_Linked_Etag=f'"{self.server.etag}"')


@pytest.fixture(scope="module")
def body(network, tmp_path_factory):
    """A file of weights."""
    path = tmp_path_factory.mktemp("server") / NAME
    network.save_weights(path)
    return path.read_bytes()


@pytest.fixture
def server(body):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.mode, server.paths = body, "good", []
    server.sha256 = server.etag = hashlib.sha256(server.body).hexdigest()
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
    """What is in the cache, but for locks."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def test_download(server, home):
    path = locate(server.url)
    assert path.read_bytes() == server.body and path.is_relative_to(home)
    assert files(home) == [NAME, f"{NAME}.sha256"]
    assert (path.parent / f"{NAME}.sha256").read_text() == f"{server.sha256}  {NAME}\n"
    server.shutdown()
    server.server_close()
    assert locate(server.url) == path  # offline
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    "mode, error, message",
    [
        ("truncated", ConnectionError, r"ended after \d+ of \d+ bytes"),
        ("stalled", TimeoutError, "sent nothing for 0.3 s"),
        ("silent", TimeoutError, "sent nothing for 0.3 s"),
        ("corrupt", ValueError, r"sha256 is \w{64}, expected {sha256}"),
        ("missing", FileNotFoundError, "does not exist: HTTP 404"),
        ("broken", ConnectionError, "HTTP 500"),
        ("page", ValueError, "expected {sha256}"),
        ("bomb", ValueError, "expected {sha256}"),
        ("empty", ValueError, "expected {sha256}"),
        ("round_in_circles", ConnectionError, "redirect"),
        ("to_a_file", ConnectionError, "file:///etc/hostname"),
        ("to_ftp", ConnectionError, "redirects to 'ftp://127.0.0.1"),
    ],
)
def test_bad_server(server, home, monkeypatch, mode, error, message):
    """The right error, nothing left behind, and the next try works."""
    monkeypatch.chdir(home.parent)
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    address = f"{server.url}#sha256={server.sha256}"
    server.mode = mode
    with pytest.raises(error, match=message.replace("{sha256}", server.sha256)) as raised:
        locate(address)
    assert server.url in str(raised.value)
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


def test_too_large(server, home, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1000)
    with pytest.raises(ConnectionError, match="larger than"):
        locate(server.url)
    assert files(home) == []


def test_redirect(server):
    server.mode = "redirected"
    assert locate(server.url).read_bytes() == server.body
    assert server.paths == [f"/{NAME}", f"/moved/{NAME}"]


def test_no_server(server, home):
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match="cannot be had"):
        locate(server.url)
    assert files(home) == []


def test_hub(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.root)
    server.mode = "hub"
    path = locate(f"hf://some.one/re-po/sub/{NAME}")
    assert server.paths == [f"/some.one/re-po/resolve/main/sub/{NAME}", f"/storage/{NAME}"]
    assert path.read_bytes() == server.body
    locate(f"hf://some.one/re-po@v1.0/{NAME}")
    assert f"/some.one/re-po/resolve/v1.0/{NAME}" in server.paths


def test_hub_states_another_checksum(server, home, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.root)
    server.mode, server.etag = "hub", "0" * 64
    with pytest.raises(ValueError, match=f"sha256 is {server.sha256}, expected {'0' * 64}"):
        locate(f"hf://some/one/{NAME}")
    assert files(home) == []


@pytest.mark.parametrize(
    "address",
    [
        "hf://only/two.keras",
        f"hf://a/b/../../{NAME}",
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
from keras_mtnet.models import ReleasedMTNet
from keras_mtnet.weights import load_weights
model = ReleasedMTNet((8, 16), (2, 1), classes=5)
print("ready", flush=True)
load_weights(model, sys.argv[1])
print(sum(float(abs(w).sum()) for w in model.get_weights()))
"""


def test_progress(server, home, monkeypatch, capsys):
    """A line in logs; a bar, in megabytes, where somebody looks on."""
    locate(server.url)
    size = f"{len(server.body) / 1e6:.1f} MB"
    place = server.root.removeprefix("http://")
    assert capsys.readouterr().out == f"Downloading {NAME} ({size}) from {place}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    locate(f"{server.url}?again")
    assert "1/1" in capsys.readouterr().out


def test_after_a_kill(server, home):
    """What a killed process left is removed by the next download of the same file."""
    path = locate(server.url)
    path.rename(path.with_name(f".0123abcd.{NAME}"))
    assert locate(server.url) == path
    assert files(home) == [NAME, f"{NAME}.sha256"]


def test_two_processes_at_once(server, network):
    """One downloads, the other waits for it; both load the same, which is right."""
    server.mode = "held"
    command = [sys.executable, "-c", LOADED, server.url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # both are now at the lock
    server.wake.set()
    sums = [float(process.communicate()[0].split()[-1]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    expected = sum(float(abs(w).sum()) for w in network.get_weights())
    assert sums == [pytest.approx(expected)] * 2
    assert server.paths == [f"/{NAME}"]


def test_two_threads_at_once(server):
    server.mode = "slow"
    found = []
    threads = [threading.Thread(target=lambda: found.append(locate(server.url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 3 and len(server.paths) == 1


def test_changed_in_the_cache(server, network):
    """Refused with both checksums; after deleting it the next try works."""
    path = locate(server.url)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    changed = hashlib.sha256(content).hexdigest()
    with pytest.raises(ValueError, match=rf"{changed} and should be {server.sha256}.*Delete it"):
        load_weights(network, server.url)
    path.unlink()
    assert load_weights(network, server.url) == []


def published(entry, server, **changes):
    import dataclasses

    return dataclasses.replace(entry, url=server.url, sha256=server.sha256, **changes)


def test_entry_with_an_address(server, tiny, home, network, monkeypatch):
    entry = published(tiny, server)
    monkeypatch.setattr(registry, "entries", lambda: (entry,))
    assert load_weights(network, "tiny") == []
    assert files(home) == [entry.file, f"{entry.file}.sha256"]
    assert load_weights(network, "tiny") == [] and len(server.paths) == 1
    (home / entry.file).write_bytes(server.body + b"more")
    with pytest.raises(ValueError, match=f"should be {server.sha256}"):
        load_weights(network, "tiny")


def test_entry_whose_file_was_exchanged(server, tiny, home, monkeypatch):
    entry = published(tiny, server)
    server.mode = "corrupt"
    with pytest.raises(ValueError, match=f"expected {server.sha256}"):
        locate_entry(entry)
    assert files(home) == []


def test_published_file(server, tiny, tmp_path, monkeypatch):
    """A file in the folder of the registry needs no cache."""
    monkeypatch.setattr(registry, "folder", lambda: tmp_path)
    (tmp_path / tiny.file).write_bytes(server.body)
    assert locate_entry(tiny) == tmp_path / tiny.file


def test_entry_without_a_file(tiny, home):
    with pytest.raises(FileNotFoundError) as raised:
        locate_entry(tiny)
    for part in (tiny.checkpoint, "convert-weights", "--model MTNetS", str(home / tiny.file)):
        assert part in str(raised.value)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_MTNET_HOME", "~/mine")
    assert cache_home() == Path.home() / "mine"
    monkeypatch.delenv("KERAS_MTNET_HOME")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "keras_mtnet"
    monkeypatch.delenv("KERAS_HOME")
    assert cache_home() == Path.home() / ".keras" / "keras_mtnet"
