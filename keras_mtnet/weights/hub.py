"""Files of weights: in the package, in the cache, on the disk, or downloaded."""

import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import keras

from keras_mtnet.files import write_beside, write_text
from keras_mtnet.presets import PRESETS, Preset

ENDINGS = (".weights.h5", ".keras")
FORMS = "a .weights.h5 or .keras file, the folder of a run, hf://user/repo/file, an http(s) address"
TIMEOUT = 30  # seconds without a byte
SIGNATURES = {".h5": b"\x89HDF\r\n\x1a\n", ".keras": b"PK\x03\x04"}


def cache_folder() -> Path:
    """The cache: `$KERAS_MTNET_HOME`, or a folder in that of Keras."""
    if folder := os.environ.get("KERAS_MTNET_HOME"):
        return Path(folder).expanduser()
    keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(keras_home) / "keras_mtnet"


def published_folder() -> Path:
    """The weights that come with the package: `weights/` of the repository."""
    installed = Path(__file__).with_name("published")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "weights"


def locate(weights: str | os.PathLike) -> Path:
    """The file that an argument `weights` means, downloaded if it must be.

    `weights` is the path of a file or of a run's folder, `hf://user/repo/file` (with
    `user/repo@revision` for another than `main`), or an http(s) address, which may end in
    `#sha256=...`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a file of weights, or its checksum is another.
        ImportError: if the package that downloads is missing.
        OSError: if it cannot be downloaded.
    """
    text = os.fspath(weights)
    if text.startswith("hf://"):
        return _from_hugging_face(text)
    if re.match(r"[a-z0-9+]+://", text):
        return _from_url(text)
    path = Path(text).expanduser()
    if path.is_dir():
        path = path / "model.keras"
    if not path.is_file():
        names = ", ".join(sorted({repr(weights) for _, weights in PRESETS}))
        raise FileNotFoundError(
            f"weights={text!r} is not a file, nor the folder of a finished run. Pass None for "
            f"random weights, the name of a preset ({names}), or {FORMS}."
        )
    _check_ending(path.name, text)
    return path


def locate_preset(preset: Preset) -> Path:
    """The file of a preset, downloaded if it must be. Its checksum is checked.

    Raises:
        FileNotFoundError: if it is not here and nobody hosts it; it says how to make it.
        ImportError, OSError, ValueError: as `locate` does.
    """
    for path in (published_folder() / preset.file, cache_folder() / preset.file):
        if path.is_file():
            verify(path, preset.sha256)
            return path
    if preset.url:
        return _download(preset.url, cache_folder() / preset.file, preset.sha256)
    raise FileNotFoundError(
        f"weights={preset.weights!r} of {preset.model}: nobody hosts a Keras file, so convert it "
        f"once. Download the authors' checkpoint {preset.checkpoint} and run: keras-mtnet "
        f"convert-weights CHECKPOINT --model {preset.model} --weights {preset.weights} (it writes "
        f"{cache_folder() / preset.file} and needs pip install 'keras-mtnet[convert]')."
    )


def save_converted(network: keras.Model, path: Path) -> None:
    """Writes the weights of a network, whole, and their checksum beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_beside(path) as beside:
        network.save_weights(beside)
        checksum = f"{sha256_of(beside)}  {path.name}\n"
        write_text(path.with_name(f"{path.name}.sha256"), checksum)


def verify(path: Path, sha256: str | None) -> None:
    """Raises ValueError unless a file has a checksum, by default that of its `.sha256`, if any."""
    beside = path.with_name(f"{path.name}.sha256")
    if sha256 is None and beside.is_file():
        sha256 = beside.read_text(encoding="utf-8").partition(" ")[0].strip()
    if sha256 is not None and (found := sha256_of(path)) != sha256.lower():
        raise ValueError(
            f"{path} is damaged or was changed: its sha256 is {found} and should be {sha256}. "
            "Delete it, then download or convert it again."
        )


def sha256_of(path: Path) -> str:
    """Returns the checksum of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _check_ending(name: str, given: str) -> None:
    if not name.endswith(ENDINGS):
        raise ValueError(
            f"A file of weights ends in {' or '.join(ENDINGS)} (model.save_weights writes the "
            "first; keras-mtnet convert-weights makes it of a published checkpoint). Received: "
            f"weights={given!r}"
        )


def _from_hugging_face(address: str) -> Path:
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?/([\w./-]+)", address)
    if match is None or ".." in address:
        raise ValueError(
            "Hugging Face addresses are hf://user/repo/file or hf://user/repo@revision/file. "
            f"Received: {address!r}"
        )
    _check_ending(match[3], address)
    hub = _extra("huggingface_hub")
    return Path(hub.hf_hub_download(match[1], match[3], revision=match[2]))


def _from_url(url: str) -> Path:
    parts = urlsplit(url)
    name = re.sub(r"[^\w.-]", "_", parts.path.rpartition("/")[2])
    sha256 = re.fullmatch(r"(?:sha256=([0-9a-fA-F]{64}))?", parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.netloc or sha256 is None:
        raise ValueError(
            "Weights are downloaded from hf://user/repo/file or an http(s) address, after which "
            f"only #sha256=... may stand. Received: {url!r}"
        )
    _check_ending(name, url)
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return _download(parts._replace(fragment="").geturl(), cache_folder() / key / name, sha256[1])


def _download(url: str, path: Path, sha256: str | None) -> Path:
    """Downloads a file that is not in the cache yet, or not as it should be."""
    pooch = _extra("pooch")
    bar = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    downloader = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT)
    known = f"sha256:{sha256.lower()}" if sha256 else None
    pooch.retrieve(url, known, path.name, path.parent, downloader=downloader)
    with open(path, "rb") as file:
        signature = file.read(8)
    if not signature.startswith(SIGNATURES[path.suffix]):
        path.unlink()
        raise ValueError(
            f"{url} is not a {path.suffix} file: it does not start like one. Nothing was kept. Is "
            "the address that of the file itself, not of a page about it?"
        )
    return path


def _extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'Downloading weights needs {name}: pip install "keras-mtnet[hub]"'
        ) from error
