"""`train` and `distill`: a recipe, with what the flags change in it."""

import argparse
import os
from typing import Any

from keras_mtnet.cli.parsing import PROGRAM, add_command, add_setting, settings, show
from keras_mtnet.cli.terminal import quiet_imports
from keras_mtnet.training.recipe import RECIPES, Recipe


def add_commands(commands: Any) -> None:
    """Adds the commands."""
    _add_train(commands)
    _add_distill(commands)


def _add_train(commands: Any) -> None:
    parser = add_command(
        commands,
        "train",
        _train,
        "train a network on videos",
        usage=f"{PROGRAM} train --root VIDEOS --output RUN [flags]",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="settings to start from; flags override them (default: scratch; with --resume, those "
        "of the run)",
    )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print the resolved settings, plot the schedule and estimate the training time",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="with --dry_run: where to plot the schedule (default: beside --output)",
    )
    parser.epilog = f"Recipes: {'; '.join(map(_show_recipe, RECIPES))}."
    groups: dict[str, Any] = {}
    for name, field in settings().items():
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        add_setting(groups[title], name, required=name == "output")
    groups["checkpoints"].add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --output from its last checkpoint; begin it if there is none",
    )
    groups["machine"].add_argument(
        "--logical_cpus",
        type=int,
        default=0,
        metavar="N",
        help="split the CPU into N devices, to try mirrored without GPUs (default: not split)",
    )


# Settings of a recipe that `distill` has, too.
_OF_DISTILL = (
    *("data", "root", "output", "annotations", "split", "frames", "stride", "size", "fps"),
    *("augment", "flip", "model", "ratio", "cell", "stage_filters", "stage_depths"),
    *("epochs", "batch_size", "seed", "checkpoint_steps"),
)


def _add_distill(commands: Any) -> None:
    parser = add_command(
        commands,
        "distill",
        _distill,
        "train a network on the scores of another, without labels",
        usage=f"{PROGRAM} distill --teacher NAME --teacher_weights NAME --model NAME "
        "--root VIDEOS --output DIR [flags]",
    )
    help = "network to learn from, or a .keras file (default: %(default)s)"
    parser.add_argument("--teacher", metavar="NAME|FILE", default="I3D", help=help)
    help = "of a --teacher given by name (default: %(default)s)"
    parser.add_argument("--teacher_weights", metavar="PATH", default="kinetics400", help=help)
    for name in _OF_DISTILL:
        add_setting(parser, name, required=name in ("root", "output"))
    for name, default, help in (
        ("learning_rate", 1e-3, "of AdamW at its peak"),
        ("temperature", 1.0, "above 1, small scores count more"),
        ("feature_weight", 1.0, "of the distance between features"),
    ):
        help = f"{help} (default: {default})"
        parser.add_argument(f"--{name}", type=float, default=default, metavar="X", help=help)
    help = "the teacher sees clips of so many times --size (default: 1)"
    parser.add_argument("--shrink", type=int, default=1, metavar="N", help=help)
    help = "ask the teacher about the clips of so many epochs once, and repeat these"
    parser.add_argument("--rounds", type=int, metavar="N", help=help)


def _distill(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        import keras

        from keras_mtnet.data import read_split
        from keras_mtnet.models import build, load_model
        from keras_mtnet.training import distill
    recipe = Recipe(**{k: v for k, v in vars(arguments).items() if k in _OF_DISTILL})
    videos = read_split(recipe.data, recipe.root, recipe.annotations, recipe.split, subset="train")
    if os.path.exists(arguments.teacher):
        teacher = load_model(arguments.teacher, compile=False)
    else:
        teacher = build(arguments.teacher, weights=arguments.teacher_weights)
    size = recipe.size or 112
    keras.utils.set_random_seed(recipe.seed)
    student = build(
        recipe.model,
        classes=teacher.output_shape[-1],
        input_shape=(recipe.frames, size, size, 3),
        **recipe.model_options(),
    )
    names = ("batch_size", "epochs", "stride", "fps", "augment", "flip", "seed", "checkpoint_steps")
    flags = ("learning_rate", "temperature", "feature_weight", "shrink", "rounds")
    path = distill(
        student,
        teacher,
        videos,
        recipe.output,
        **{name: getattr(recipe, name) for name in names},
        **{name: getattr(arguments, name) for name in flags},
    )
    print(f"The student is in {path}. Fine-tune it on labels:")
    print(f"  {PROGRAM} train --model {recipe.model} --weights {path} --root VIDEOS --output RUN")


def _train(arguments: argparse.Namespace) -> None:
    recipe = _recipe(arguments)
    if recipe.strategy == "multi_worker":
        os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it when it is imported
    with quiet_imports():
        from keras_mtnet.training import default_picture, dry_run, train
    if arguments.dry_run:
        picture = arguments.picture or default_picture(recipe.output)
        print(dry_run(recipe, picture, logical_cpus=arguments.logical_cpus))
        return
    run = train(recipe, resume=arguments.resume, logical_cpus=arguments.logical_cpus)
    print(f"The run is in {run}. Evaluate it on several views per video:")
    print(f"  {PROGRAM} evaluate --run {run} --root {recipe.root}")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The named recipe, or that of the run to continue, with what the flags change."""
    given = {name: value for name, value in vars(arguments).items() if name in settings()}
    begun = os.path.join(arguments.output, "config.json")
    if arguments.resume and arguments.recipe is None and os.path.isfile(begun):
        from keras_mtnet.training.run_folder import stored_recipe

        return stored_recipe(arguments.output).replace(**given)
    return RECIPES[arguments.recipe or "scratch"].replace(**given)


def _show_recipe(name: str) -> str:
    """A recipe by what it changes."""
    recipe = RECIPES[name]
    changes = [
        f"{key}={show(getattr(recipe, key))}"
        for key, field in settings().items()
        if getattr(recipe, key) != field.default
    ]
    return f"{name} ({' '.join(changes) or 'the defaults'})"
