"""One page about a training run."""

from keras_mtnet.report.run_report import write_report

__all__ = ["write_report"]
