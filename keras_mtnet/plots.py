"""Pictures: curves, schedule, confusion matrix, clip strip, prediction. Needs matplotlib."""

import importlib.util
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtnet.files import write_beside
from keras_mtnet.training.plan import Epoch

# One ink for the text, one quiet tone for what only supports, two colours for what is compared.
_INK, _QUIET, _TRAIN, _TEST = "#22272e", "#8b949e", "#9db4d0", "#d1495b"
_STYLE = {
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def _figure(width: float, height: float) -> Any:
    """A figure of so many inches, drawn without a display and without pyplot's global state."""
    if not available():
        raise ImportError('Pictures need matplotlib. Run: pip install "keras-mtnet[plots]"')
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _save(figure: Any, path: str | os.PathLike) -> None:
    with write_beside(path) as beside:
        figure.savefig(beside, dpi=150, facecolor="white")


def learning_curves(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Draws loss and accuracy of training and validation over the epochs.

    Args:
        rows: one mapping an epoch, with `epoch`, `loss`, `accuracy` and, where there was a
            validation, `val_loss` and `val_accuracy`: the rows of a run's `history.csv`.
        path: the picture to write; its ending chooses the format.
    """
    figure = _figure(9, 3.6)
    epochs = [row["epoch"] for row in rows]
    with _style():
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for key, label, colour in (
                (name, "training", _TRAIN),
                (f"val_{name}", "validation", _TEST),
            ):
                if key in rows[0]:
                    axes.plot(
                        epochs,
                        [r[key] for r in rows],
                        color=colour,
                        linewidth=1.8,
                        marker="o" if len(rows) < 25 else None,
                        markersize=3.5,
                        label=label,
                    )
            axes.set_title(name.capitalize())
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
            axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
            axes.set_axisbelow(True)
            if name == "accuracy":
                axes.set_ylim(0, 1.02)
            axes.legend(frameon=False)
        _save(figure, path)


def schedule(rates: Sequence[float], epochs: Sequence[Epoch], path: str | os.PathLike) -> None:
    """Draws the learning rate of every step, and below it what the steps are made of.

    Args:
        rates: one a step.
        epochs: of `keras_mtnet.training.plan.plan`.
        path: the picture to write.
    """
    figure = _figure(9, 4.6)
    starts = [epoch.first_step for epoch in epochs]
    ends = [epoch.first_step + epoch.steps for epoch in epochs]
    with _style():
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.plot(range(len(rates)), rates, color=_TEST, linewidth=1.8)
        above.set_title("Learning rate")
        above.set_ylim(bottom=0)
        below.stairs(
            [epoch.batch_size for epoch in epochs], [*starts, ends[-1]], color=_TRAIN, fill=True
        )
        below.set_title("Clips in a batch, and their shape")
        below.set_xlabel("step")
        below.set_ylim(0, 1.35 * max(epoch.batch_size for epoch in epochs))
        for start, end, shape in _stretches(epochs):
            # Only where it can be read.
            if (end - start) > len(rates) / 12:
                height = max(e.batch_size for e in epochs if start <= e.first_step < end)
                below.text((start + end) / 2, height, shape, ha="center", va="bottom", fontsize=8)
        for axes in (above, below):
            axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.set_xlim(0, len(rates))
        _save(figure, path)


def _stretches(epochs: Sequence[Epoch]) -> list[tuple[int, int, str]]:
    """First step, end and shape of the epochs that follow one another with the same frames."""
    found: list[tuple[int, int, str]] = []
    for frames, group in itertools.groupby(epochs, lambda epoch: epoch.frames):
        same = list(group)
        sizes = sorted({epoch.size for epoch in same})
        size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]}-{sizes[-1]}"
        end = same[-1].first_step + same[-1].steps
        found.append((same[0].first_step, end, f"{frames} frames, {size} px"))
    return found


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike, title: str = ""
) -> None:
    """Draws a confusion matrix: true classes down, predicted classes across.

    Args:
        matrix: counts `(classes, classes)`.
        class_names: one name a class.
        path: the picture to write.
        title: above the picture; by default how many are right.
    """
    matrix, classes = np.asarray(matrix), len(class_names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cells = min(max(0.42 * classes, 2.2), 22)  # inches
    # Names shrink to what a cell is high; counts are left out where nobody could read them.
    small = min(10.0, 0.6 * 72 * cells / classes)
    figure = _figure(cells + 2.6, cells + 2.6)
    with _style():
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        ticks = np.arange(classes)
        axes.set_xticks(
            ticks, class_names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small
        )
        axes.set_yticks(ticks, class_names, fontsize=small)
        axes.set_xticks(ticks[1:] - 0.5, minor=True)
        axes.set_yticks(ticks[1:] - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5 if classes <= 40 else 0.4)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        for row, column in zip(*np.nonzero(matrix), strict=True):
            if classes <= 60:
                ink = "white" if share[row, column] > 0.55 else _INK
                axes.text(
                    column,
                    row,
                    str(matrix[row, column]),
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=small,
                )
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        right, total = int(np.trace(matrix)), int(matrix.sum())
        axes.set_title(title or f"{right} of {total} videos right")
        _save(figure, path)


def clip_strip(
    frames: np.ndarray, kept: Sequence[int], path: str | os.PathLike, title: str = ""
) -> None:
    """Draws the frames of a clip side by side and marks those that were kept.

    Args:
        frames: uint8 RGB `(T, H, W, 3)`.
        kept: indices of the frames to mark, e.g. those of `TripletCosineSelection`.
        path: the picture to write.
        title: above the strip.
    """
    columns = min(len(frames), 8)
    lines = -(-len(frames) // columns)
    cell = 1.35
    aspect = frames.shape[1] / frames.shape[2]
    figure = _figure(columns * cell, lines * (cell * aspect + 0.16) + (0.35 if title else 0.05))
    with _style():
        grid = figure.subplots(lines, columns, squeeze=False)
        for index, axes in enumerate(grid.flat):
            if index >= len(frames):
                axes.set_axis_off()
                continue
            _frame(axes, frames[index], f"{index}", index in set(kept))
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        _save(figure, path)


def _frame(axes: Any, frame: np.ndarray, label: str, kept: bool) -> None:
    """One frame of a strip: framed and labelled in colour if kept, pale if not."""
    axes.imshow(
        frame,
        alpha=1.0 if kept else 0.45,
        interpolation="nearest" if frame.shape[0] < 128 else "antialiased",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(kept)
    axes.spines[:].set_color(_TEST)
    axes.spines[:].set_linewidth(3)
    axes.set_xlabel(
        label, fontsize=8, color=_TEST if kept else _QUIET, fontweight="bold" if kept else "normal"
    )


def prediction(
    frames: np.ndarray, best: Sequence[tuple[str, float]], path: str | os.PathLike, title: str = ""
) -> None:
    """Draws some frames of a video above bars of its best classes.

    Args:
        frames: uint8 RGB `(T, H, W, 3)`, of which up to six are shown.
        best: pairs (name, score), best first.
        path: the picture to write.
        title: above the picture, e.g. the name of the video.
    """
    shown = frames[np.linspace(0, len(frames) - 1, min(6, len(frames))).round().astype(int)]
    aspect = shown.shape[1] / shown.shape[2]
    strip = 9 / len(shown) * aspect
    bars = 0.34 * len(best) + 0.35
    figure = _figure(9, strip + bars + 0.35)
    with _style():
        top, bottom = figure.subfigures(2, 1, height_ratios=(strip + 0.3, bars))
        for axes, frame in zip(np.atleast_1d(top.subplots(1, len(shown))), shown, strict=True):
            axes.imshow(frame)
            axes.set_axis_off()
        if title:
            top.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = bottom.subplots()
        names, scores = zip(*best, strict=True)
        rows = np.arange(len(best))
        axes.barh(rows, scores, color=[_TEST] + [_TRAIN] * (len(best) - 1), height=0.66)
        for row, score in zip(rows, scores, strict=True):
            axes.text(score + 0.01, row, f"{score:.3f}", va="center", fontsize=9)
        axes.set_yticks(rows, names)
        axes.tick_params(length=0)
        axes.set_xlim(0, 1.08)
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)
        _save(figure, path)
