"""The folder of a run: what is in it, what may go on in it, and how its network is loaded."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import keras_mtnet.layers  # noqa: F401  what a saved network is made of
from keras_mtnet import __version__
from keras_mtnet.data import Videos
from keras_mtnet.files import write_text
from keras_mtnet.training.recipe import Recipe, stored_recipe

# Settings that may change where a run goes on: they say where things lie, not what is computed.
_FREE = (
    *("root", "annotations", "output", "wandb"),
    *("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints"),
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What a trained model needs to be used right.

    Attributes:
        class_names: in label order.
        frames: frames of a clip.
        stride: every `stride`-th frame of the video is in a clip.
        size: height and width of a clip.
        recipe: how it was trained.
    """

    class_names: tuple[str, ...]
    frames: int
    stride: int
    size: int
    recipe: Recipe


def load_run(path: str | os.PathLike, best: bool = False) -> tuple[keras.Model, RunConfig]:
    """Loads the network of a finished run.

    Args:
        path: the run folder.
        best: the weights of the best epoch instead of those at the end of the run. They were chosen
            by their accuracy on the test clips, which flatters them on just those.

    Returns:
        The network, not compiled, and its `RunConfig`.

    Raises:
        FileNotFoundError: if this is not the folder of a finished run.
    """
    path = Path(path)
    for name in ("config.json", "classes.txt", "model.keras"):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{path} is not the folder of a finished run: it holds no {name}."
            )
    model = keras.models.load_model(path / "model.keras", compile=False)
    if best:
        model.load_weights(path / "best.weights.h5")
    recipe = stored_recipe(path)
    names = tuple((path / "classes.txt").read_text(encoding="utf-8").splitlines())
    return model, RunConfig(names, recipe.frames, recipe.stride, recipe.size, recipe)


def start_folder(path: Path, recipe: Recipe, training: Videos, testing: Videos) -> None:
    """Makes a run folder that says what is trained, on what, and by which versions."""
    path.mkdir(parents=True, exist_ok=True)
    versions = {
        "keras_mtnet": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    config = {
        "recipe": dataclasses.asdict(recipe),
        "videos": {"training": _about(training), "test": _about(testing)},
        "versions": versions,
    }
    write_text(path / "classes.txt", "".join(f"{name}\n" for name in training.class_names))
    write_text(path / "config.json", json.dumps(config, indent=2) + "\n")


def about_run(recipe: Recipe, training: Videos, testing: Videos) -> dict[str, Any]:
    """What must be the same in all parts, and all workers, of a run."""
    settings = json.loads(recipe.to_json())
    return {
        "settings": {name: value for name, value in settings.items() if name not in _FREE},
        "training videos": _about(training),
        "test videos": _about(testing),
    }


def check_same_run(path: Path, recipe: Recipe, training: Videos, testing: Videos) -> None:
    """Raises ValueError, naming the difference, unless a run goes on as it began."""
    config = _config(path)
    before, now = config["recipe"], json.loads(recipe.to_json())
    names = [name for name in now if name not in _FREE and before.get(name) != now[name]]
    differences = [f"{name} was {before.get(name)} and is {now[name]}" for name in names]
    classes = (path / "classes.txt").read_text(encoding="utf-8").splitlines()
    if len(classes) != len(training.class_names):
        differences.append(f"there were {len(classes)} classes and are {len(training.class_names)}")
    for part, videos in (("training", training), ("test", testing)):
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
            f"The run in {path} cannot go on: {'; '.join(differences)}. "
            "Resume it as it began, or name a new folder."
        )


def _config(path: str | os.PathLike) -> dict[str, Any]:
    return json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))


def _about(videos: Videos) -> dict[str, Any]:
    """How many videos there are, and a checksum of their names, labels, segments and order."""
    lines = (f"{v.name}\t{v.label}\t{v.start}\t{v.end}\n" for v in videos)
    checksum = hashlib.sha256()
    for line in (*(f"{name}\n" for name in videos.class_names), *lines):
        checksum.update(line.encode())
    return {"count": len(videos), "sha256": checksum.hexdigest()}
