"""The result of a test: scores of videos, and what they say about the network."""

import csv
import dataclasses
import functools
import io
import os
from typing import Any

import numpy as np

from keras_mtnet.evaluation.metrics import (
    average_precision,
    bootstrap_interval,
    calibration_error,
)
from keras_mtnet.files import write_text

_MEASURES = ("top1", "top5", "mean_average_precision")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of labeled videos. Every listed video is scored, unreadable or missing.

    Attributes:
        class_names: in label order.
        names: of the scored videos.
        labels: their classes, int `(n,)`; or bool `(n, classes)`, where a video may have several.
        scores: float `(n, classes)`, each in [0, 1].
        multi_label: whether a video may have several classes: scores are independent of each other
            (several sigmoids), or labels are bool `(n, classes)`.
        threshold: score from which a class counts as present, for a head of sigmoids; of one
            sigmoid it decides between the two classes.
        unreadable: dict from the name of a video that could not be read to the reason.
        damaged: the same for videos that were scored by the part of them that could be read.
        missing: names of listed videos that are not on disk.
        groups: the group of each scored video, of one recording, say; empty if unknown.

    Example:

    >>> import numpy as np
    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> result = Evaluation(("jump", "run"), ("a", "b", "c"), np.array([0, 1, 1]), scores)
    >>> round(result.top1, 3), result.confusion.tolist()
    (0.667, [[1, 0], [1, 1]])
    """

    class_names: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    multi_label: bool = False
    threshold: float | None = None
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = len(self.names), len(self.class_names)
        if self.scores.shape != shape or self.labels.shape not in (shape, shape[:1]):
            raise ValueError(
                f"scores must have the shape {shape}, videos and classes, and labels that or "
                f"{shape[:1]}. Received: scores of {self.scores.shape}, labels of "
                f"{self.labels.shape}"
            )
        if len(self.groups) not in (0, shape[0]):
            raise ValueError(
                f"groups must name one for each of the {shape[0]} videos. "
                f"Received: {len(self.groups)}"
            )

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """Which classes each scored video has, bool `(n, classes)`."""
        if self.labels.ndim == 2:
            return self.labels.astype("bool")
        return self.labels[:, None] == np.arange(len(self.class_names))

    @property
    def scored(self) -> int:
        """Number of videos with scores."""
        return len(self.names)

    @property
    def listed(self) -> int:
        """Number of videos on the list."""
        return self.scored + len(self.unreadable) + len(self.missing)

    @property
    def predicted(self) -> np.ndarray:
        """The class that the network names for each scored video, int `(n,)`."""
        if self.threshold is not None and not self.multi_label:
            return (self.scores[:, 1] >= self.threshold).astype("int64")
        return self.scores.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Of which scored videos the class that the network names is one of theirs, bool `(n,)`."""
        return self.truth[np.arange(self.scored), self.predicted]

    @property
    def top1(self) -> float:
        """Share of the scored videos of which the class that the network names is one."""
        return float(self.right.mean())

    @property
    def top5(self) -> float:
        """Share of those that have one of the five highest scores; 1 for up to five classes.

        Of equal scores the earlier class is ahead, as in argmax.
        """
        return float(self._right_of_five.mean())

    @property
    def _right_of_five(self) -> np.ndarray:
        best = np.argsort(-self.scores, axis=1, kind="stable")[:, :5]
        return np.asarray(np.take_along_axis(self.truth, best, axis=1).any(axis=1))

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """Counts `(classes, classes)`, true classes down, predicted classes across.

        Raises:
            ValueError: if videos may have several classes.
        """
        if self.labels.ndim == 2:
            raise ValueError("A confusion matrix needs one label per video; these may have several")
        counts = np.zeros((len(self.class_names),) * 2, "int64")
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def chance(self) -> float:
        """Top-1 of guessing: the classes that a video has, 1 by default, over all classes."""
        return float(self.truth.sum(axis=1).mean() / len(self.class_names))

    @property
    def most_frequent(self) -> float:
        """Top-1 of always naming the class that most of the scored videos have."""
        return float(self.truth.sum(axis=0).max() / self.scored)

    @property
    def per_class(self) -> dict[str, float | None]:
        """Share of the videos of each class in which it is found; None for a class without one.

        Found means named or, where videos may have several classes, a score of `threshold`.
        """
        found = self.predicted[:, None] == np.arange(len(self.class_names))
        if self.labels.ndim == 2:
            found = np.greater_equal(self.scores, self.threshold)
        totals, right = self.truth.sum(axis=0), (self.truth & found).sum(axis=0)
        return {
            name: float(r / t) if t else None
            for name, r, t in zip(self.class_names, right, totals, strict=True)
        }

    @property
    def mean_average_precision(self) -> float:
        """Area under the precision-recall curve, averaged over the classes that occur."""
        return self._mean_average_precision(np.arange(self.scored))

    def _mean_average_precision(self, videos: np.ndarray) -> float:
        truth, scores = self.truth[videos], self.scores[videos]
        classes = np.flatnonzero(truth.any(axis=0))
        found = [average_precision(truth[:, c], scores[:, c]) for c in classes]
        return float(np.mean(found)) if found else 0.0

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error of the named class, 15 bins; None for `multi_label`."""
        if self.multi_label:
            return None
        confidence = self.scores[np.arange(self.scored), self.predicted]
        return calibration_error(confidence, self.right)

    def interval(
        self, measure: str = "top1", resamples: int = 1000, seed: int = 0
    ) -> tuple[float, float] | None:
        """The 95 % bootstrap interval of a measure over groups of videos; None without two groups.

        `measure` is `"top1"`, `"top5"` or `"mean_average_precision"`. Groups are drawn with
        replacement, `resamples` times, by `seed`.

        Raises:
            ValueError: for another measure.
        """
        if measure not in _MEASURES:
            raise ValueError(f"measure must be one of {_MEASURES}. Received: measure={measure!r}")
        if len(set(self.groups)) < 2:
            return None
        if measure == "mean_average_precision":
            return bootstrap_interval(self._mean_average_precision, self.groups, resamples, seed)
        right = self.right if measure == "top1" else self._right_of_five
        return bootstrap_interval(lambda drawn: right[drawn].mean(), self.groups, resamples, seed)

    @property
    def precision(self) -> float:
        """Of the classes that reach `threshold` in a video, the share that is right."""
        present = self.scores >= self.threshold
        return float((self.truth & present).sum() / max(present.sum(), 1))

    @property
    def recall(self) -> float:
        """Share of the scored videos' classes that reach `threshold`."""
        return float((self.truth & (self.scores >= self.threshold)).sum() / self.truth.sum())

    def write_confusion(self, path: str | os.PathLike) -> None:
        """Writes the confusion matrix as CSV, true classes down and predicted classes across."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["true \\ predicted", *self.class_names])
        for name, counts in zip(self.class_names, self.confusion.tolist(), strict=True):
            rows.writerow([name, *counts])
        write_text(path, text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """All of it but the single scores as numbers, strings, lists and dicts, for JSON."""
        names = "top1 top5 listed scored unreadable damaged missing class_names chance".split()
        names += ["most_frequent", "per_class", "mean_average_precision", "calibration_error"]
        if self.multi_label:
            names += ["threshold", "precision", "recall"]
        found = {name: getattr(self, name) for name in names}
        found |= {"top1_interval": self.interval(), "groups": len(set(self.groups))}
        return found | ({"confusion": self.confusion.tolist()} if self.labels.ndim == 1 else {})

    def __str__(self) -> str:
        lines = [
            f"top-1 {self.top1:.4f}   top-5 {self.top5:.4f}   "
            f"(chance {self.chance:.4f}, always the most frequent class {self.most_frequent:.4f})"
        ]
        if interval := self.interval():
            lines.append(
                f"95 % interval of top-1 [{interval[0]:.4f}, {interval[1]:.4f}], by bootstrap over "
                f"{len(set(self.groups))} groups of videos"
            )
        if self.multi_label:
            lines.append(
                f"mAP {self.mean_average_precision:.4f}   precision {self.precision:.4f}   "
                f"recall {self.recall:.4f}   (scores of at least {self.threshold:g})"
            )
        else:
            lines.append(f"expected calibration error {self.calibration_error:.4f}")
        counts = f"{self.scored} of {self.listed} videos scored"
        for what in ("unreadable", "missing"):
            if getattr(self, what):
                counts += f", {len(getattr(self, what))} {what}"
        lines.append(counts)
        lines += [f"  {name}: {reason}" for name, reason in sorted(self.unreadable.items())]
        lines += [
            f"  {name}: scored in part, {reason}" for name, reason in sorted(self.damaged.items())
        ]
        return "\n".join([*lines, *(f"  {name}: missing" for name in self.missing)])
