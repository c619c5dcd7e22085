"""The command `keras-mtnet`, run in this process."""

import pytest

from keras_mtnet import cli

TRAIN = (
    *("train", "--model", "MTNet", "--stage_filters", "8", "--stage_depths", "1", "--ratio", "1"),
    *("--frames", "4", "--size", "16", "--batch_size", "8", "--epochs", "1"),
)


def run(capfd, *arguments: object) -> tuple[int, str, str]:
    """Runs the command in this process: exit status, stdout, stderr."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(each) for each in arguments])
    return int(stopped.value.code or 0), *capfd.readouterr()
