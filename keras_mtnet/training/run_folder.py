"""The folder of a run: its contents, which run may continue in it, and loading its network."""

import dataclasses
import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_mtnet import __version__
from keras_mtnet.files import check_new_folder, check_outside, write_text
from keras_mtnet.training.recipe import Recipe

if TYPE_CHECKING:
    from keras_mtnet.data.videos import Videos
    from keras_mtnet.models.video_model import VideoModel

CHECKPOINTS = "checkpoints"
# What a run, its report and the demo leave in a run's folder.
_FILES = (
    *("config.json", "history.csv", "curves.png", "logs", CHECKPOINTS, "model.keras"),
    *("best.weights.h5", "missing.txt", "unreadable.txt", "report.html"),
    *("confusion.png", "kept_frames.png", "prediction.png"),
)
# Settings that may change where a run continues: they say where things are, not what is computed.
_FREE = (
    *("root", "annotations", "output", "wandb"),
    *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints"),
)


def load_run(path: str | os.PathLike, best: bool = False) -> tuple["VideoModel", Recipe]:
    """Loads the network of a finished run.

    Args:
        path: the run folder.
        best: the weights of the best epoch instead of those at the end of the run. They were chosen
            by their accuracy on the validation clips, which flatters them on just those.

    Returns:
        The network, not compiled, whose `clip_spec` has the class names and what else it needs to
        be used right; and the recipe with everything that was filled in.

    Raises:
        FileNotFoundError: if this is not the folder of a finished run.
    """
    path = Path(path)
    for name in ("config.json", "model.keras"):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{path} is not the folder of a finished run: it holds no {name}."
            )
    from keras_mtnet.models import load_model

    model = load_model(path, compile=False)
    if best:
        model.load_weights(path / "best.weights.h5")
    return model, stored_recipe(path)


def stored_recipe(path: str | os.PathLike) -> Recipe:
    """The recipe of the run in a folder, with everything that was filled in."""
    return Recipe.from_json(json.dumps(read_config(path)["recipe"]))


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """What `start_folder` wrote of the run in a folder.

    Raises:
        ValueError: if something else stands there.
    """
    file = Path(path) / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if {"recipe", "class_names", "videos", "versions"} <= set(config):
            return config
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is not the description of a run: {error}") from error
    raise ValueError(f"{file} is not the description of a run.")


def foreign_files(path: str | os.PathLike) -> list[str]:
    """Names of what lies in the folder of a run and is no part of one."""
    return sorted(each.name for each in Path(path).iterdir() if each.name not in _FILES)


def check_output(recipe: Recipe, resume: bool) -> bool:
    """Whether the output of a recipe holds a run to continue.

    Raises:
        ValueError: if `root` or `output` is not given, or the output lies among the videos, where
            the next start would take it for a class.
        OSError: if the output is taken, or cannot be written.
    """
    for name in ("root", "output"):
        if not getattr(recipe, name):
            raise ValueError(f"A recipe needs {name}, a folder, to be trained. Received: {name}=''")
    check_outside(recipe.output, recipe.root)
    if resume and (Path(recipe.output) / "config.json").is_file():
        return True
    check_new_folder(recipe.output, "a run")
    return False


def start_folder(recipe: Recipe, training: "Videos", validation: "Videos") -> None:
    """Makes a run folder that says what is trained, on what, and by which versions."""
    config = {
        "recipe": dataclasses.asdict(recipe),
        "class_names": list(training.class_names),
        "videos": {"training": _about(training), "validation": _about(validation)},
        "versions": {
            "keras_mtnet": __version__,
            **{name: version(name) for name in ("keras", "tensorflow")},
        },
    }
    text = json.dumps(config, indent=2) + "\n"  # JSON holds any name, also with a line break
    output = Path(recipe.output)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.json", text)


def about_run(recipe: Recipe, training: "Videos", validation: "Videos") -> dict[str, Any]:
    """What must be the same in all parts, and all workers, of a run."""
    settings = json.loads(recipe.to_json())
    return {
        "settings": {name: value for name, value in settings.items() if name not in _FREE},
        "training videos": _about(training),
        "validation videos": _about(validation),
    }


def check_same_run(recipe: Recipe, training: "Videos", validation: "Videos") -> None:
    """Raises ValueError, naming the differences, unless a run continues as it began."""
    config = read_config(recipe.output)
    before, now = config["recipe"], json.loads(recipe.to_json())
    names = [name for name in now if name not in _FREE and before.get(name) != now[name]]
    differences = [f"{name} was {before.get(name)} and is {now[name]}" for name in names]
    classes = [len(config["class_names"]), len(training.class_names)]
    if classes[0] != classes[1]:
        differences.append(f"there were {classes[0]} classes and are {classes[1]}")
    for part, videos in (("training", training), ("validation", validation)):
        old, new = config["videos"][part], _about(videos)
        if old["count"] != new["count"]:
            differences.append(
                f"there were {old['count']} {part} videos and are {new['count']} "
                "(of those that are listed and on disk)"
            )
        elif old != new:
            differences.append(f"the list of {part} videos is another one, of the same length")
    if differences:
        raise ValueError(
            f"The run in {recipe.output} cannot continue: {'; '.join(differences)}. "
            "Resume it as it began, or name a new folder."
        )


def _about(videos: "Videos") -> dict[str, Any]:
    """How many videos there are, and a checksum of their names, labels, segments and order."""
    lines = (f"{v.name}\t{v.label}\t{v.start}\t{v.end}\n" for v in videos)
    checksum = hashlib.sha256()
    for line in (*(f"{name}\n" for name in videos.class_names), *lines):
        checksum.update(line.encode("utf-8", "surrogatepass"))
    return {"count": len(videos), "sha256": checksum.hexdigest()}
