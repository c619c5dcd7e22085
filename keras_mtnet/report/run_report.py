"""The report of a run: what was trained, how it went, where the network fails, what it costs."""

import dataclasses
import functools
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_mtnet import __version__, plots
from keras_mtnet.checks import check_counts
from keras_mtnet.costs import count_costs
from keras_mtnet.data import Videos, read_split
from keras_mtnet.evaluation import Evaluation
from keras_mtnet.explain import explain_video
from keras_mtnet.files import write_text
from keras_mtnet.inference import evaluate_views
from keras_mtnet.report.page import page, picture, section, table, text
from keras_mtnet.training.logs import read_history
from keras_mtnet.training.recipe import Recipe
from keras_mtnet.training.run_folder import foreign_files, load_run, read_config

_PLACE = ("data", "root", "annotations", "split")


def write_report(
    run: str | os.PathLike,
    output: str | os.PathLike | None = None,
    best: bool = False,
    hardest: int = 5,
    data: str | None = None,
    root: str | os.PathLike | None = None,
    annotations: str | os.PathLike | None = None,
    split: int | None = None,
    **views: Any,
) -> Path:
    """Writes one HTML page about a finished run, which opens anywhere and needs nothing else.

    It holds the test on several views per video with its confusion matrix, the learning curves,
    the videos with the lowest score of their own class, with the frames that are kept and the
    saliency of the class that was named instead, the recipe, the costs and the versions. Files in
    the run's folder that no run writes are named.

    Args:
        run: folder of the run.
        output: file to write; `report.html` in the folder when None.
        best: as of `load_run`.
        hardest: how many of the hardest videos to show.
        data, root, annotations, split: where the videos are, as for `read_split`; None takes it
            from the recipe. Where they are not found, the page says so and has no test.
        **views: of `evaluate_views`, as `num_clips`.

    Returns:
        The file.

    Raises:
        FileNotFoundError: if this is not the folder of a finished run.
        ValueError: for a file of the run that cannot be read, or a wrong argument.
        ImportError: without matplotlib.
    """
    check_counts(lowest=0, hardest=hardest)
    plots.check_available()
    run = Path(run)
    model, recipe = load_run(run, best)
    given = {"data": data, "root": root, "annotations": annotations, "split": split}
    place = {name: given[name] or getattr(recipe, name) for name in _PLACE}
    foreign = foreign_files(run)
    sections = []
    if foreign:
        note = f"Not written by a run, and not read: {', '.join(foreign)}"
        logging.warning("%s holds files that are no part of a run: %s", run, ", ".join(foreign))
        sections.append(text(note, kind="note"))
    sections += _test(model, place, hardest, views)
    sections += [_curves(run), _recipe(recipe), _costs(model, recipe), _environment(run)]
    path = run / "report.html" if output is None else Path(output)
    write_text(path, page(f"{recipe.model}: {run.resolve().name}", sections))
    return path


def _test(
    model: keras.Model, place: dict[str, Any], hardest: int, views: dict[str, Any]
) -> list[str]:
    """The sections about the test videos."""
    try:
        videos = read_split(place["data"], *(place[name] for name in _PLACE[1:]), subset="test")
    except OSError as error:
        logging.warning("The report has no test: %s", error)
        return [section("Test", text(f"Not tested: {error}", kind="note"))]
    result = evaluate_views(model, videos, **views)
    draw = functools.partial(plots.confusion_matrix, result.confusion, result.class_names)
    parts = [text(str(result), "pre"), picture(draw, "confusion matrix of the test videos")]
    return [section("Test", *parts), *_hardest(model, videos, result, hardest, views)]


def _hardest(
    model: keras.Model, videos: Videos, result: Evaluation, count: int, views: dict[str, Any]
) -> list[str]:
    """The videos with the lowest scores of their own class."""
    own = result.scores[np.arange(result.scored), result.labels]
    by_name = {video.name: video for video in videos}
    names, parts = result.class_names, []
    fields = ("frames", "stride", "size", "fps", "sampling", "activation")
    options = {name: value for name, value in views.items() if name in fields}
    for place in np.argsort(own, kind="stable")[:count]:
        name, true = result.names[place], int(result.labels[place])
        named = int(result.predicted[place])
        source = by_name[name].open(options.get("fps"))
        found = explain_video(model, source, label=named, class_names=names, **options)
        found = dataclasses.replace(found, name=name)
        best = result.scores[place, named]
        parts += [
            text(name, "h3"),
            text(f"{names[true]} scores {own[place]:.3f}; named is {names[named]}, {best:.3f}."),
        ]
        if found.kept:
            draw = functools.partial(plots.clip_strip, found.frames, found.first_kept)
            parts.append(picture(draw, f"frames of {name}; those that are kept are marked", "jpeg"))
        parts.append(picture(found.strip, f"what speaks for {names[named]} in {name}", "jpeg"))
    if not parts:
        return []
    about = "The lowest scores of their own class. Saliency is that of the class that is named."
    return [section("Hardest videos", text(about), *parts)]


def _curves(run: Path) -> str:
    path = run / "history.csv"
    try:
        rows = read_history(path)
        draw = functools.partial(plots.learning_curves, rows)
        parts = [picture(draw, "loss and accuracy over the epochs")]
    except FileNotFoundError:
        parts = [text("There is no history.csv.", kind="note")]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is not the history of a run: {error!r}") from error
    return section("Learning curves", *parts)


def _recipe(recipe: Recipe) -> str:
    fields = dataclasses.fields(recipe)
    rows = [(f.name, str(value)) for f in fields if (value := getattr(recipe, f.name)) is not None]
    return section("Recipe", table(rows))


def _costs(model: keras.Model, recipe: Recipe) -> str:
    costs = count_costs(model, (recipe.frames, recipe.size, recipe.size, 3))
    rows: list[tuple[Any, ...]] = [
        (s.name, str(s.output_shape), s.params, s.macs, s.activations) for s in costs.stages
    ]
    rows.append(("total", "", costs.params, costs.macs, costs.activations))
    header = ("stage", "output", "parameters", "multiply-adds", "activations")
    clip = f"One clip of {' x '.join(map(str, costs.input_shape))}."
    return section("Costs", text(clip), table(rows, header))


def _environment(run: Path) -> str:
    config = read_config(run)
    now = {"keras_mtnet": __version__, **{name: version(name) for name in ("keras", "tensorflow")}}
    rows = [(name, value, now.get(name, "")) for name, value in config["versions"].items()]
    rows.append(("Python", "", platform.python_version()))
    rows.append(("system", "", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"))
    rows += [
        (f"{part} videos", f"{about['count']}, sha256 of the list {about['sha256'][:12]}", "")
        for part, about in config["videos"].items()
    ]
    return section("Environment", table(rows, ("", "of the run", "of this report")))
