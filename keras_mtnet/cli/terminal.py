"""Terminal output: any file name, log messages as plain lines, no noise of libraries."""

import contextlib
import logging as standard_logging
import os
import sys
from collections.abc import Iterator

from absl import flags, logging


def show_any_name() -> None:
    """Writes characters that the terminal cannot show as escapes, instead of failing at them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a stream that a test put there may lack it
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def plain_logs(news: bool = True) -> Iterator[None]:
    """Shows what the package logs as a program's own lines, news on stdout and the rest on stderr.

    Args:
        news: show messages of level INFO. `--verbosity=1` shows those of level DEBUG, too.
    """
    logger, shown = logging.get_absl_logger(), _PlainLines()
    level, propagate = logger.level, logger.propagate
    debug = flags.FLAGS.verbosity >= logging.DEBUG
    logger.setLevel("DEBUG" if debug else "INFO" if news else "WARNING")
    logger.propagate = False
    logger.addHandler(shown)
    tensorflow = standard_logging.getLogger("tensorflow")
    its_level = tensorflow.level
    if not debug:
        tensorflow.setLevel("WARNING")  # its news name temporary files
    try:
        yield
    finally:
        tensorflow.setLevel(its_level)
        logger.removeHandler(shown)
        logger.propagate = propagate
        logger.setLevel(level)


class _PlainLines(standard_logging.Handler):
    def emit(self, record: standard_logging.LogRecord) -> None:
        if record.levelno <= standard_logging.INFO:
            print(record.getMessage(), flush=True)
        else:
            print(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hides what TensorFlow's libraries write to stderr while they load.

    They report missing CUDA libraries and CPU features before any log level counts. With
    `--verbosity=1` everything is shown.
    """
    if flags.FLAGS.is_parsed() and flags.FLAGS.verbosity >= 1:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
            if "tensorflow" in sys.modules:  # the first look for GPUs complains as well
                sys.modules["tensorflow"].config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
