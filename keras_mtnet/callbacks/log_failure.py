"""What to do when a file of a training cannot be written."""

import contextlib
from collections.abc import Iterator

import keras
from absl import logging


@contextlib.contextmanager
def log_failure(what: str) -> Iterator[None]:
    """Logs an OSError raised while writing, e.g. on a full disk, instead of ending training."""
    try:
        yield
    except OSError as error:
        logging.error("%s could not be written (%s). Training continues.", what, error)


def forgiving(callback: keras.callbacks.Callback, what: str) -> keras.callbacks.Callback:
    """The same callback, changed so that it logs what it fails to write at the end of an epoch."""
    write = callback.on_epoch_end

    def on_epoch_end(epoch: int, logs: dict | None = None) -> None:
        with log_failure(what):
            write(epoch, logs)

    callback.on_epoch_end = on_epoch_end
    return callback
