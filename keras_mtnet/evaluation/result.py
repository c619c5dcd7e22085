"""The result of a test: scores of videos, and what they say about the network."""

import dataclasses
import functools
from typing import Any

import numpy as np

from keras_mtnet.evaluation.metrics import average_precision


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of labeled videos. Every listed video is scored, unreadable or missing.

    Attributes:
        class_names: in label order.
        names: of the scored videos.
        labels: their classes, int `(n,)`.
        scores: float `(n, classes)`, each in [0, 1].
        multi_label: whether scores are independent of each other (several sigmoids) instead of
            adding up to 1.
        threshold: score from which a class counts as present, for a head of sigmoids; of one
            sigmoid it decides between the two classes.
        unreadable: dict from the name of a video that could not be read to the reason.
        damaged: the same for videos that were scored by the part of them that could be read.
        missing: names of listed videos that are not on disk.

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
    def top1(self) -> float:
        """Share of the scored videos whose class is the one that the network names."""
        return float((self.predicted == self.labels).mean())

    @property
    def top5(self) -> float:
        """Share of those whose class is among the five highest scores; 1 for up to five classes."""
        own = np.take_along_axis(self.scores, self.labels[:, None], axis=1)
        earlier = np.arange(self.scores.shape[1]) < self.labels[:, None]
        # Of equal scores the earlier class is ahead, as in argmax.
        ahead = (self.scores > own) | ((self.scores == own) & earlier)
        return float((ahead.sum(axis=1) < 5).mean())

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """Counts `(classes, classes)`, true classes down, predicted classes across."""
        counts = np.zeros((len(self.class_names),) * 2, "int64")
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def chance(self) -> float:
        """Top-1 of guessing: one in the number of classes."""
        return 1 / len(self.class_names)

    @property
    def most_frequent(self) -> float:
        """Top-1 of always naming the class that most of the scored videos have."""
        return float(self.confusion.sum(axis=1).max() / self.scored)

    @property
    def per_class(self) -> dict[str, float | None]:
        """Top-1 of each class; None for a class without a scored video."""
        totals, right = self.confusion.sum(axis=1), self.confusion.diagonal()
        return {
            name: float(r / t) if t else None
            for name, r, t in zip(self.class_names, right, totals, strict=True)
        }

    @property
    def mean_average_precision(self) -> float:
        """Area under the precision-recall curve, averaged over the classes that occur."""
        found = [
            average_precision(self.labels == label, self.scores[:, label])
            for label in np.unique(self.labels)
        ]
        return float(np.mean(found))

    @property
    def precision(self) -> float:
        """Of the classes that reach `threshold` in a video, the share that is right."""
        present = self.scores >= self.threshold
        return float(self._hits / max(present.sum(), 1))

    @property
    def recall(self) -> float:
        """Share of the scored videos whose class reaches `threshold`."""
        return float(self._hits / self.scored)

    @property
    def _hits(self) -> int:
        own = np.take_along_axis(self.scores, self.labels[:, None], axis=1)
        return int((own >= self.threshold).sum())

    def to_dict(self) -> dict[str, Any]:
        """All of it but the single scores as numbers, strings, lists and dicts, for JSON."""
        names = "top1 top5 listed scored unreadable damaged missing class_names chance".split()
        names += ["most_frequent", "per_class", "mean_average_precision"]
        if self.multi_label:
            names += ["threshold", "precision", "recall"]
        return {
            **{name: getattr(self, name) for name in names},
            "confusion": self.confusion.tolist(),
        }

    def __str__(self) -> str:
        lines = [
            f"top-1 {self.top1:.4f}   top-5 {self.top5:.4f}   "
            f"(chance {self.chance:.4f}, always the most frequent class {self.most_frequent:.4f})"
        ]
        if self.multi_label:
            lines.append(
                f"mAP {self.mean_average_precision:.4f}   precision {self.precision:.4f}   "
                f"recall {self.recall:.4f}   (scores of at least {self.threshold:g})"
            )
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
