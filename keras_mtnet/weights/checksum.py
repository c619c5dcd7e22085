"""Checksums of files of weights, which lie beside them."""

import hashlib
from pathlib import Path

from keras_mtnet.files import write_text

CHUNK = 1 << 20


def verify(path: Path, sha256: str | None = None) -> None:
    """Checks a file against its checksum: the given one, or that of the `.sha256` file beside it.

    Without either nothing is checked.

    Raises:
        ValueError: if it differs, naming both.
    """
    beside = _beside(path)
    if sha256 is None and beside.is_file():
        sha256 = beside.read_text(encoding="utf-8").partition(" ")[0].strip()
    if sha256 is None:
        return
    found = sha256_of(path)
    if found != sha256.lower():
        raise ValueError(
            f"{path} is damaged or was changed: its sha256 is {found} and should be {sha256}. "
            "Delete it, then download or convert it again."
        )


def sha256_of(path: Path) -> str:
    """Returns the checksum of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_sha256(path: Path, sha256: str) -> None:
    """Writes the checksum beside a file, as `sha256sum --check` reads it."""
    write_text(_beside(path), f"{sha256}  {path.name}\n")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
