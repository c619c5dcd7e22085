"""Pictures: learning curves, schedule, confusion matrix, clips, what a network sees in them.

Each function writes one to a path, whose ending chooses the format. They need matplotlib, the extra
`keras-mtnet[plots]`, and raise ImportError without it.

>>> import tempfile
>>> from keras_mtnet import plots
>>> with tempfile.TemporaryDirectory() as folder:
...     plots.confusion_matrix([[5, 1], [0, 6]], ["jump", "run"], folder + "/confusion.png")
"""

import contextlib
import importlib.util
import itertools
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtnet.files import write_beside

# One ink for text, one quiet tone for what supports it, two colors for what is compared.
_INK, _QUIET, _TRAIN, _TEST = "#22272e", "#8b949e", "#9db4d0", "#d1495b"
_STYLE = {
    "font.size": 10,
    "text.color": _INK,
    "text.parse_math": False,  # a class may be called "$5_bills$"
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
_LONGEST_NAME = 40


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def check_available() -> None:
    """Raises ImportError without matplotlib."""
    if not available():
        raise ImportError('Pictures need matplotlib. Run: pip install "keras-mtnet[plots]"')


def learning_curves(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Draws loss and accuracy of training and validation over the epochs.

    `rows` are one mapping per epoch with `epoch`, `loss`, `accuracy` and, if there was a
    validation, `val_loss` and `val_accuracy`: the rows of a run's `history.csv`.
    """
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) < 25 else None
    with _picture(path, 9, 3.6) as figure:
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            lines = ((name, "training", _TRAIN), (f"val_{name}", "validation", _TEST))
            for key, label, color in lines:
                if key in rows[0]:
                    values = [row[key] for row in rows]
                    axes.plot(
                        epochs, values, color=color, marker=marker, markersize=3.5, label=label
                    )
            axes.set(title=name.capitalize(), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
            if name == "accuracy":
                axes.set_ylim(0, 1.02)
            _lines_behind(axes)
            axes.legend(frameon=False)


def schedule(rates: Sequence[float], epochs: Sequence[Any], path: str | os.PathLike) -> None:
    """Draws the learning rate of every step, and below it the batches that the steps take.

    `epochs` are the result of `keras_mtnet.training.plan.plan`.
    """
    edges = [*(epoch.first_step for epoch in epochs), epochs[-1].first_step + epochs[-1].steps]
    sizes = [epoch.batch_size for epoch in epochs]
    with _picture(path, 9, 4.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.plot(range(len(rates)), rates, color=_TEST)
        above.set_title("Learning rate")
        above.set_ylim(bottom=0)
        below.stairs(sizes, edges, color=_TRAIN, fill=True)
        below.set(title="Clips per batch, and their shape", xlabel="step")
        below.set_ylim(0, 1.35 * max(sizes))
        for frames, group in itertools.groupby(epochs, lambda epoch: epoch.frames):
            same = list(group)
            start, end = same[0].first_step, same[-1].first_step + same[-1].steps
            if (end - start) > len(rates) / 12:  # wide enough for the text
                pixels = "-".join(map(str, sorted({min(e.size for e in same), same[-1].size})))
                height = max(epoch.batch_size for epoch in same)
                text = f"{frames} frames, {pixels} px"
                below.text((start + end) / 2, height, text, ha="center", va="bottom", fontsize=8)
        for axes in (above, below):
            _lines_behind(axes)
            axes.set_xlim(0, len(rates))


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike, title: str = ""
) -> None:
    """Draws counts `(classes, classes)`, true classes down and predicted classes across.

    The title says how many videos are right by default.
    """
    matrix, classes = np.asarray(matrix), len(class_names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    inches = min(max(0.42 * classes, 2.2), 22)
    # Names shrink to the height of a cell; counts are left out where nobody could read them.
    small = min(10.0, 0.6 * 72 * inches / classes)
    names, ticks = [_shown(name) for name in class_names], np.arange(classes)
    margin = 1.4 + 0.009 * small * max(map(len, names))
    with _picture(path, inches + margin, inches + margin) as figure:
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(ticks, names, fontsize=small, **slanted)
        axes.set_yticks(ticks, names, fontsize=small)
        axes.set_xticks(ticks[1:] - 0.5, minor=True)
        axes.set_yticks(ticks[1:] - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5 if classes <= 40 else 0.4)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        for row, column in zip(*np.nonzero(matrix), strict=True) if classes <= 60 else ():
            ink = "white" if share[row, column] > 0.55 else _INK
            text = str(matrix[row, column])
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=small)
        right, total = int(np.trace(matrix)), int(matrix.sum())
        axes.set(xlabel="predicted", ylabel="true")
        _title(figure, title or f"{right} of {total} videos right")


def clip_strip(
    frames: np.ndarray,
    kept: Sequence[int],
    path: str | os.PathLike,
    title: str = "",
    fade: bool = True,
) -> None:
    """Draws the frames of a clip, uint8 RGB `(T, H, W, 3)`, side by side and marks those of `kept`.

    `kept` are their indices, e.g. of those that `TripletCosineSelection` keeps. `fade` pales the
    others. Of long clips 16 frames are drawn, spread evenly.
    """
    shown = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 16)).round().astype(int))
    columns = min(len(shown), 8)
    lines, cell = -(-len(shown) // columns), 1.35
    height = lines * (cell * frames.shape[1] / frames.shape[2] + 0.16)
    with _picture(path, columns * cell, height + (0.35 if title else 0.05)) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).flat
        for axes in grid:
            axes.set_axis_off()
        for index, axes in zip(shown, grid[:], strict=False):
            frame = frames[index]
            marked = index in set(kept)
            axes.set_axis_on()
            axes.imshow(
                frame,
                alpha=1.0 if marked or not fade else 0.45,
                interpolation="nearest" if frame.shape[0] < 128 else "antialiased",
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=marked, color=_TEST, linewidth=3)
            weight = "bold" if marked else "normal"
            color = _TEST if marked else _QUIET
            axes.set_xlabel(str(index), fontsize=8, color=color, fontweight=weight)
        if title:
            _title(figure, title)


def kept_frames(kept: Sequence[Any], frames: int, path: str | os.PathLike) -> None:
    """Draws how many of the selections of each stage keep each of the `frames` frames of a clip.

    `kept` is what `keras_mtnet.explain.kept_frames` returns.
    """
    rows: dict[str, list[np.ndarray]] = {}
    for each in kept:
        rows.setdefault(each.stage, []).append(np.isin(np.arange(frames), each.frames))
    shares = np.array([np.mean(each, axis=0) for each in rows.values()])
    with _picture(path, 1.6 + 0.4 * frames, 1.3 + 0.4 * len(rows)) as figure:
        axes = figure.subplots()
        colors = _color_map("kept", ("#f1f3f5", _TEST))
        axes.imshow(shares, cmap=colors, vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(len(rows)), map(_shown, rows))
        axes.set_xticks(np.arange(0, frames, max(1, frames // 16)))
        axes.set_xticks(np.arange(1, frames) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("frame of the clip")
        _title(figure, "Which frames stay: share of the stage")


def branch_energies(energies: Sequence[Any], path: str | os.PathLike) -> None:
    """Draws the energy of local and prolonged branches over the clip, a panel for each stage.

    `energies` is what `keras_mtnet.explain.branch_energy` returns.
    """
    with _picture(path, max(2.6 * len(energies), 4), 3) as figure:
        grid = figure.subplots(1, len(energies), squeeze=False)[0]
        for axes, stage in zip(grid, energies, strict=True):
            lines = (
                (stage.local_frames, stage.local, _TRAIN, "local"),
                (stage.prolonged_frames, stage.prolonged, _TEST, "prolonged"),
            )
            for frames, energy, color, label in lines:
                axes.plot(frames, energy, color=color, marker="o", markersize=3.5, label=label)
            axes.set_title(f"{_shown(stage.stage)}: {stage.share:.0%} prolonged", fontsize=9)
            axes.set_xlabel("frame of the clip")
            axes.set_ylim(bottom=0)
            _lines_behind(axes)
        grid[0].set_ylabel("energy of a channel")
        grid[0].legend(frameon=False)


def animation(frames: np.ndarray, path: str | os.PathLike, milliseconds: float = 110) -> None:
    """Writes frames, uint8 RGB `(T, H, W, 3)`, as a GIF that plays without end."""
    check_available()
    from PIL import Image  # comes with matplotlib

    # One palette for all frames, without dithering: what does not move is then stored once.
    spread = frames[np.linspace(0, len(frames) - 1, min(4, len(frames))).astype(int)]
    palette = Image.fromarray(np.concatenate(spread)).quantize(160, dither=Image.Dither.NONE)
    first, *others = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    )
    with write_beside(path) as beside:
        options = {"duration": max(20, round(milliseconds)), "loop": 0}
        first.save(beside, "GIF", save_all=True, append_images=others, **options)


def prediction(
    frames: np.ndarray, best: Sequence[tuple[str, float]], path: str | os.PathLike, title: str = ""
) -> None:
    """Draws up to six frames of a video, uint8 RGB `(T, H, W, 3)`, above bars of its best classes.

    `best` are pairs of name and score in [0, 1], best first.
    """
    shown = frames[np.linspace(0, len(frames) - 1, min(6, len(frames))).round().astype(int)]
    strip = 9 / len(shown) * shown.shape[1] / shown.shape[2] + 0.3
    bars, rows = 0.34 * len(best) + 0.35, np.arange(len(best))
    names, scores = zip(*best, strict=True)
    with _picture(path, 9, strip + bars) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=(strip, bars))
        for axes, frame in zip(np.atleast_1d(top.subplots(1, len(shown))), shown, strict=True):
            axes.imshow(frame)
            axes.set_axis_off()
        if title:
            _title(top, title)
        axes = bottom.subplots()
        axes.barh(rows, scores, color=[_TEST] + [_TRAIN] * (len(best) - 1), height=0.66)
        for row, score in enumerate(scores):
            axes.text(score + 0.01, row, f"{score:.3f}", va="center", fontsize=9)
        axes.set_yticks(rows, map(_shown, names))
        axes.tick_params(length=0)
        axes.set_xlim(0, 1.08)
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)


def timeline(
    bounds: np.ndarray,
    scores: np.ndarray,
    class_names: Sequence[str],
    path: str | os.PathLike,
    title: str = "",
) -> None:
    """Draws the scores of a video over time, of the six classes that reach the highest.

    `bounds` `(windows + 1,)` are seconds, `scores` `(windows, classes)` lie in [0, 1].
    """
    best = np.argsort(-scores.max(axis=0), kind="stable")[:6]
    unit, seconds = ("min", 60) if bounds[-1] > 180 else ("s", 1)
    with _picture(path, 9, 0.5 * len(best) + 1.1) as figure:
        rows = figure.subplots(len(best), 1, sharex=True, squeeze=False)[:, 0]
        for axes, label in zip(rows, best, strict=True):
            axes.stairs(scores[:, label], bounds / seconds, fill=True, color=_TRAIN)
            axes.set(ylim=(0, 1), yticks=[], xlim=(bounds[0] / seconds, bounds[-1] / seconds))
            text = _shown(class_names[label])
            axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
            axes.tick_params(length=0, labelbottom=axes is rows[-1])
        rows[-1].set_xlabel(unit)
        if title:
            _title(figure, title)


@contextlib.contextmanager
def _picture(path: str | os.PathLike, width: float, height: float) -> Iterator[Any]:
    """A figure of so many inches, without a display and pyplot's global state, then its file."""
    check_available()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The font shows a box for a character that it lacks, and would warn about each.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with write_beside(path) as beside:
            kind = Path(path).suffix[1:] or "png"
            figure.savefig(beside, dpi=150, facecolor="white", format=kind)


def _color_map(name: str, colors: Sequence[str]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colors)


def _lines_behind(axes: Any) -> None:
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _title(figure: Any, text: str) -> None:
    figure.suptitle(_shown(text), x=0.01, ha="left", fontsize=10, fontweight="bold")


def _shown(name: str) -> str:
    """A name in characters that can be drawn, cut where it is very long."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
