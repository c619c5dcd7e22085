"""Downloads a file whole, or not at all."""

import contextlib
import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import keras

from keras_mtnet.files import write_beside
from keras_mtnet.weights.checksum import CHUNK, write_sha256

TIMEOUT = 30.0  # seconds without a byte
MEGABYTE = 1_000_000
LARGEST = 4 << 30  # bytes; the largest network has a tenth of that
SIGNATURES = {".h5": b"\x89HDF\r\n\x1a\n", ".keras": b"PK\x03\x04"}


def fetch(url: str, path: Path, sha256: str | None) -> None:
    """Downloads a file of weights. What is at `path` afterwards is whole and checked.

    Args:
        url: http(s) address.
        path: where to; its folder must be there.
        sha256: what the checksum must be; that which the server states, if any, when None.

    Raises:
        FileNotFoundError: if the server has no such file.
        OSError: if it cannot be reached, answers with an error, stalls or ends too early.
        ValueError: if what came is not what was asked for.
    """
    with write_beside(path) as beside:
        with _errors(url), _open(url) as response:
            received, promised = _copy(response, beside)
        expected = sha256 or promised
        if expected and received != expected.lower():
            raise ValueError(
                f"{url} did not arrive as it should: its sha256 is {received}, expected {expected}."
                " Nothing was kept; try again, or ask who hosts it."
            )
        signature = SIGNATURES[path.suffix]
        with open(beside, "rb") as file:
            if file.read(len(signature)) != signature:
                raise ValueError(
                    f"{url} is not a {path.suffix} file: it does not start like one. Nothing was "
                    "kept. Is the address that of the file itself, not of a page about it?"
                )
        write_sha256(path, received)  # first, so that there is never a file without it


@contextlib.contextmanager
def _errors(url: str) -> Iterator[None]:
    """Turns what can go wrong on the way into one line each."""
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise FileNotFoundError(f"{url} does not exist: HTTP {error.code}.") from error
        raise ConnectionError(f"{url} cannot be had: HTTP {error.code} {error.reason}.") from error
    except TimeoutError as error:
        raise TimeoutError(f"{url} sent nothing for {TIMEOUT:g} s. Try again later.") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise TimeoutError(f"{url} sent nothing for {TIMEOUT:g} s. Try again later.") from error
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"{url} cannot be had: {reason}.") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to web addresses only, and never from https to http."""

    checksum: str | None = None

    def redirect_request(self, request: Any, fp: Any, code: int, msg: str, headers: Any, url: str):
        schemes = urlsplit(request.full_url).scheme, urlsplit(url).scheme
        if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
            raise urllib.error.URLError(f"it redirects to {url!r}, which is not followed")
        self.checksum = self.checksum or _stated_checksum(headers)
        return super().redirect_request(request, fp, code, msg, headers, url)


def _stated_checksum(headers: Any) -> str | None:
    """Hugging Face states the sha256 of a large file where it redirects to its storage."""
    tag = headers.get("X-Linked-Etag", "").strip('"')
    return tag if re.fullmatch("[0-9a-f]{64}", tag) else None


@contextlib.contextmanager
def _open(url: str) -> Iterator[Any]:
    redirects = _Redirects()
    request = urllib.request.Request(url, headers={"User-Agent": "keras-mtnet"})
    with urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT) as response:
        response.checksum = redirects.checksum or _stated_checksum(response.headers)
        yield response


def _copy(response: Any, path: Path) -> tuple[str, str | None]:
    """Writes the body to a file. Returns its checksum, and that which the server stated."""
    length = response.headers.get("Content-Length")
    length = int(length) if length and length.isdigit() else None
    name = os.path.basename(urlsplit(response.url).path)
    print(f"Downloading {name} ({_megabytes(length)}) from {urlsplit(response.url).netloc}")
    seen = sys.stdout.isatty() or "ipykernel" in sys.modules
    bar = keras.utils.Progbar(length and -(-length // MEGABYTE), unit_name="MB") if seen else None
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size > LARGEST:
                raise ConnectionError(f"it is larger than {_megabytes(LARGEST)}")
            if bar:
                bar.update(-(-size // MEGABYTE))
    if length is not None and size != length:
        raise ConnectionError(f"it ended after {size} of {length} bytes")
    return digest.hexdigest(), response.checksum


def _megabytes(size: int | None) -> str:
    return "size unknown" if size is None else f"{size / MEGABYTE:.1f} MB"
