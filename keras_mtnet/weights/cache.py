"""Where files of weights lie, and how they get there."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from keras_mtnet.weights import registry
from keras_mtnet.weights.download import fetch

ENDINGS = (".weights.h5", ".keras")
FORMS = "a .weights.h5 or .keras file, the folder of a run, hf://user/repo/file, an http(s) address"


def home() -> Path:
    """The cache: `$KERAS_MTNET_HOME`, or a folder in that of Keras."""
    if folder := os.environ.get("KERAS_MTNET_HOME"):
        return Path(folder).expanduser()
    keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(keras_home) / "keras_mtnet"


def locate(weights: str | os.PathLike) -> Path:
    """Returns the file that an argument `weights=` means, and downloads it if it must.

    Args:
        weights: path of a file or of a run's folder, `hf://user/repo/file` (with
            `user/repo@revision` for another than `main`), or an http(s) address, which may end in
            `#sha256=...`. Names of the registry go to `locate_entry`.

    Raises:
        FileNotFoundError: if there is no such file, here or there.
        ValueError: if it is not a file of weights, or not the one it should be.
        OSError: if it cannot be downloaded.
    """
    text = os.fspath(weights)
    if re.match(r"[a-z0-9+]+://", text):
        return _locate_url(_hub_url(text) if text.startswith("hf://") else text)
    path = Path(text).expanduser()
    if path.is_dir():
        path = path / "model.keras"
    if not path.is_file():
        names = ", ".join(sorted({repr(entry.name) for entry in registry.entries()}))
        raise FileNotFoundError(
            f"weights={text!r} is not a file, nor the folder of a finished run. Pass None for "
            f"random weights, a name of the registry ({names}), or {FORMS}."
        )
    if not path.name.endswith(ENDINGS):
        raise ValueError(
            f"weights must be a file that ends in {' or '.join(ENDINGS)} (model.save_weights "
            "writes the first; keras-mtnet convert-weights makes it of a PyTorch checkpoint). "
            f"Received: {text!r}"
        )
    return path


def locate_entry(entry: registry.Entry) -> Path:
    """Returns the file of an entry of the registry, and downloads it if it must.

    Raises:
        FileNotFoundError: if it is not here and nobody hosts it; says how to make it.
        OSError, ValueError: as `locate` does.
    """
    for path in (registry.folder() / entry.file, home() / entry.file):
        if path.is_file():
            return path
    if entry.url is None:
        raise FileNotFoundError(
            f"weights={entry.name!r} of {entry.model}: nobody hosts a Keras file, so you convert "
            f"it once. Download the authors' checkpoint {entry.checkpoint} and run: keras-mtnet "
            f"convert-weights CHECKPOINT --model {entry.model} --dataset {entry.dataset} (it "
            f"writes {home() / entry.file} and needs pip install 'keras-mtnet[convert]')."
        )
    return _once(entry.url, home() / entry.file, entry.sha256)


def _hub_url(address: str) -> str:
    """hf://user/repo@revision/folder/file to the address that Hugging Face serves it from."""
    match = re.fullmatch(
        r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?/(?P<file>[\w./-]+)(?P<rest>#.*)?",
        address,
    )
    if match is None or ".." in address:
        raise ValueError(
            f"Hugging Face addresses are hf://user/repo/file or hf://user/repo@revision/file. "
            f"Received: {address!r}"
        )
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    revision, rest = match["revision"] or "main", match["rest"] or ""
    return f"{host}/{match['repo']}/resolve/{revision}/{match['file']}{rest}"


def _locate_url(url: str) -> Path:
    parts = urlsplit(url)
    name = re.sub(r"[^\w.-]", "_", parts.path.rpartition("/")[2])
    sha256 = re.fullmatch(r"(sha256=(?P<hex>[0-9a-fA-F]{64}))?", parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.netloc or sha256 is None:
        raise ValueError(
            "Weights are downloaded from hf://user/repo/file or an http(s) address, after which "
            f"only #sha256=... may stand. Received: {url!r}"
        )
    if not name.endswith(ENDINGS):
        raise ValueError(
            f"The address of a file of weights ends in {' or '.join(ENDINGS)}. Received: {url!r}"
        )
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return _once(parts._replace(fragment="").geturl(), home() / key / name, sha256["hex"])


def _once(url: str, path: Path, sha256: str | None) -> Path:
    """Downloads a file that is not there yet; of several processes one does."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f".{path.name}.lock")):
            if not path.is_file():
                for left in path.parent.glob(f".*.{path.name}"):  # by a process that was killed
                    left.unlink()
                fetch(url, path, sha256)
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock file; others wait. The system frees it when a process ends, however it does."""
    with open(path, "w") as file:
        while not _try_lock(file.fileno()):
            time.sleep(0.1)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
