"""The command `keras-mtnet`. Each subcommand reads its flags and calls one public function.

What needs TensorFlow is imported when a subcommand runs, so that help comes at once.
"""

import argparse
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from absl import app, flags
from absl.flags import argparse_flags

from keras_mtnet.training.recipe import MODELS, RECIPES, Recipe, stored_recipe

PROGRAM = "keras-mtnet"
# argument of `pack` -> type, default, help
PACKING = {
    "shards": (int, 64, "number of files"),
    "short_side": (int, 320, "make frames smaller, to this short side; none larger"),
    "quality": (int, 85, "of the JPEGs, 1 to 100"),
    "fps": (float, None, "keep pictures at this rate (default: all frames)"),
    "workers": (int, None, "files written at the same time (default: number of CPUs)"),
    "shard_index": (int, 0, "which part of the files to write, from 0"),
    "shard_count": (int, 1, "of how many parts, on as many machines"),
}
VIEWS = {"clips": (10, "clips spread over a video"), "crops": (3, "crops of each clip")}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command and exits with status 0 done, 1 failed, 2 wrong usage.

    Args:
        argv: arguments without the program's name; those of the process when None.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    app.run(_run, [PROGRAM, *arguments], flags_parser=_parse)


def _run(arguments: argparse.Namespace) -> int:
    try:
        arguments.function(arguments)
    except KeyboardInterrupt as stop:
        print(f"{PROGRAM}: {stop or 'stopped'}", file=sys.stderr)
        return 130
    except Exception as error:
        if flags.FLAGS.verbosity >= 1:
            traceback.print_exc()
        print(f"{PROGRAM} {arguments.command}: error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    """What went wrong; errors that this package does not raise itself also by their type."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError | ImportError | FloatingPointError) and text:
        return text
    return f"{type(error).__name__}: {text} (--verbosity=1 shows where)"


# --- Subcommands -------------------------------------------------------------------------------


def _info(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet.costs import count_costs
        from keras_mtnet.models import build
        from keras_mtnet.models.builder import default_clip
        from keras_mtnet.presets import lookup
    names = ("model", "variant", "ratio", "cell", "stage_filters", "stage_depths")
    recipe = Recipe(**{name: getattr(arguments, name) for name in names})
    preset = lookup(recipe.model, arguments.weights)
    frames, size = default_clip(recipe.model, preset)
    shape = (*(arguments.input or (frames, size, size)), 3)
    options = {**recipe.model_options(), **(preset.options if preset else {})}
    print(count_costs(build(recipe.model, classes=arguments.classes, input_shape=shape, **options)))
    if preset:
        print(f"\n{preset.card()}")


def _train(arguments: argparse.Namespace) -> None:
    recipe = _recipe(arguments)
    if recipe.strategy == "multi_worker":
        os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it when it is imported
    with _quiet():
        from keras_mtnet import training
    if arguments.dry_run:
        picture = arguments.picture or training.default_picture(recipe.output)
        training.dry_run(recipe, picture, logical_cpus=arguments.logical_cpus)
        return
    run = training.train(recipe, resume=arguments.resume, logical_cpus=arguments.logical_cpus)
    print(f"The run is in {run}. Test it with several views a video:")
    print(f"  {PROGRAM} evaluate --run {run} --root {recipe.root}")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The named recipe, or that of the run to go on with, with what the flags change."""
    given = {name: value for name, value in vars(arguments).items() if name in _settings()}
    begun = os.path.join(arguments.output, "config.json")
    if arguments.resume and arguments.recipe is None and os.path.isfile(begun):
        return stored_recipe(arguments.output).replace(**given)
    return RECIPES[arguments.recipe or "scratch"].replace(**given)


def _evaluate(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet import plots
        from keras_mtnet.data import read_split
        from keras_mtnet.evaluation import evaluate_views
        from keras_mtnet.training import load_run
    model, config = load_run(arguments.run, best=arguments.best)
    trained = config.recipe
    names = ("data", "root", "annotations", "split")
    place = {name: getattr(arguments, name) or getattr(trained, name) for name in names}
    dataset = place.pop("data")
    videos = read_split(dataset, **place, subset=arguments.subset)
    if videos.class_names != config.class_names:
        known, found = (", ".join(c.class_names[:3]) for c in (config, videos))
        raise ValueError(
            f"The classes must be those of the run, in its order: {len(config.class_names)} "
            f"({known}, ...). Received: {len(videos.class_names)} ({found}, ...) in {place['root']}"
        )
    result = evaluate_views(
        model, videos, **_view_options(arguments), stride=config.stride, verbose=not arguments.json
    )
    print(json.dumps(result.to_dict(), indent=2) if arguments.json else result)
    if arguments.picture:
        plots.confusion_matrix(result.confusion, result.class_names, arguments.picture)


def _predict(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet import plots
        from keras_mtnet.data import VideoError, read_clip
        from keras_mtnet.prediction import predict_video
        from keras_mtnet.training import load_run
    if arguments.picture and len(arguments.videos) > 1:
        raise ValueError(f"--picture shows one video. Received: {len(arguments.videos)} videos")
    model, config = load_run(arguments.run, best=arguments.best)
    options = {**_view_options(arguments), "stride": config.stride, "top": arguments.top}
    results, failed = [], []
    for path in arguments.videos:
        try:
            best = predict_video(model, path, class_names=config.class_names, **options)
        except VideoError as error:
            failed.append(str(error))
            results.append({"video": path, "error": error.reason})
            continue
        results.append({"video": path, "predictions": [{"label": n, "score": s} for n, s in best]})
        if not arguments.json:
            print(
                "\n".join([path, *(f"  {score:.4f}  {name}" for name, score in best)]), flush=True
            )
        if arguments.picture:
            clip = read_clip(path, config.frames, config.stride)
            plots.prediction(clip, best, arguments.picture, title=os.path.basename(path))
    if arguments.json:
        print(json.dumps(results, indent=2))
    if failed:
        raise ValueError("; ".join(failed))


def _export(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet.export import export_savedmodel
        from keras_mtnet.training import load_run
    model, config = load_run(arguments.run, best=arguments.best)
    path = export_savedmodel(model, arguments.output, config.class_names)
    shape = "x".join(str(n or "any") for n in model.input_shape[1:])
    print(f"SavedModel in {path}: uint8 clips (N, {shape}) in, labels and scores out.")


def _convert_weights(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet.convert import convert_weights
    names = ("source", "model", "weights", "output")
    path = convert_weights(**{name: getattr(arguments, name) for name in names})
    print(f"Wrote {path}")


def _pack(arguments: argparse.Namespace) -> None:
    with _quiet():
        from keras_mtnet.data import pack
    options = {name: getattr(arguments, name) for name in ("annotations", *PACKING)}
    packed = pack(arguments.data, arguments.root, arguments.output, progress=True, **options)
    for name, reason in packed.unreadable.items():
        print(f"unreadable: {name}: {reason}")
    print(", ".join(f"{count} {what}" for what, count in packed.counts.items()))
    if packed.unfinished:
        done = packed.info.shards - len(packed.unfinished)
        print(
            f"{done} of {packed.info.shards} shards are in {arguments.output}; others are to come"
        )
    else:
        print(f"The set is complete: use --root {arguments.output}")


def _check_videos(arguments: argparse.Namespace) -> None:
    from keras_mtnet.video.check import check_videos, table

    checks = check_videos(arguments.root, arguments.workers, progress=True)
    print(json.dumps([c.to_dict() for c in checks], indent=2) if arguments.json else table(checks))
    faults = sum(check.error is not None for check in checks)
    if faults:
        raise ValueError(f"{faults} of {len(checks)} videos are damaged or unreadable")


def _view_options(arguments: argparse.Namespace) -> dict[str, int]:
    return {name: getattr(arguments, name) for name in (*VIEWS, "batch_size")}


# --- Flags -------------------------------------------------------------------------------------


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse_flags.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Multi-Temporal Networks for human action recognition in video.",
        epilog=f"'{PROGRAM} COMMAND --help' explains a command; --verbosity=1, after the command, "
        "shows the traceback of an error.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    adds = (
        *(_add_info, _add_train, _add_evaluate, _add_predict, _add_export),
        *(_add_pack, _add_check_videos, _add_convert_weights),
    )
    for add in adds:
        add(commands)
    return parser.parse_args(argv[1:])


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], help: str, usage: str = ""
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        usage=usage or None,
        allow_abbrev=False,
    )
    parser.set_defaults(function=run)
    return parser


def _add_info(commands: Any) -> None:
    parser = _add_command(commands, "info", _info, "parameters and multiply-adds of a network")
    settings = _settings()
    parser.add_argument("model", choices=MODELS)
    parser.add_argument(
        "--input", type=_clip_shape, metavar="TxHxW", help="frames, height, width (the model's own)"
    )
    parser.add_argument("--classes", type=int, default=200, help="(default: %(default)s)")
    for name in ("variant", "weights", "ratio", "cell", "stage_filters", "stage_depths"):
        _add_setting(parser, settings[name], default=settings[name].default)


def _add_train(commands: Any) -> None:
    parser = _add_command(
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
        help="train nothing: show all settings, draw the schedule, estimate the time",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="with --dry_run: where to draw the schedule (default: beside --output)",
    )
    parser.epilog = f"Recipes: {'; '.join(map(_show_recipe, RECIPES))}."
    groups: dict[str, Any] = {}
    for name, field in _settings().items():
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_setting(groups[title], field, required=name == "output")
    groups["checkpoints"].add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --output from its last checkpoint; begin it if there is none",
    )
    groups["machine"].add_argument(
        "--logical_cpus",
        type=int,
        default=0,
        metavar="N",
        help="split the CPU into N devices, to try mirrored without GPUs (default: not split)",
    )


def _add_evaluate(commands: Any) -> None:
    parser = _add_command(commands, "evaluate", _evaluate, "test a run on videos with labels")
    settings = _settings()
    _add_run(parser)
    for name in ("data", "root", "annotations", "split"):
        help = f"{settings[name].metadata['help'].split(';')[0]} (default: as in training)"
        meta = settings[name].metadata
        parser.add_argument(f"--{name}", type=meta["parse"], choices=meta["choices"], help=help)
    parser.add_argument(
        "--subset", choices=("train", "test", "all"), default="test", help="(default: %(default)s)"
    )
    _add_views(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument("--picture", metavar="FILE", help="draw the confusion matrix")


def _add_predict(commands: Any) -> None:
    parser = _add_command(commands, "predict", _predict, "name what happens in videos")
    parser.add_argument(
        "videos", nargs="+", metavar="video", help="video file, or folder of pictures"
    )
    _add_run(parser)
    parser.add_argument("--top", type=int, default=5, help="classes to name (default: %(default)s)")
    _add_views(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument("--picture", metavar="FILE", help="draw frames and scores, of one video")


def _add_export(commands: Any) -> None:
    parser = _add_command(commands, "export", _export, "write a run for use without Keras")
    _add_run(parser)
    parser.add_argument(
        "--format", choices=("savedmodel",), default="savedmodel", help="(default: %(default)s)"
    )
    parser.add_argument("--output", required=True, help="new folder")


def _add_convert_weights(commands: Any) -> None:
    parser = _add_command(
        commands, "convert-weights", _convert_weights, "released weights from PyTorch, and back"
    )
    parser.add_argument(
        "source", help="checkpoint of the authors; or Keras weights: a file, run, or name as hacs"
    )
    parser.add_argument("--model", choices=MODELS[:3], required=True)
    parser.add_argument(
        "--weights", metavar="NAME", help="preset of the checkpoint (default: the only one)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="file to write: .weights.h5, or .pth or .safetensors on the way back (default: where "
        "weights='hacs' finds it)",
    )


def _add_pack(commands: Any) -> None:
    parser = _add_command(
        commands, "pack", _pack, "write a data set as JPEG frames into a few files, to read it fast"
    )
    settings = _settings()
    _add_setting(parser, settings["data"], default=settings["data"].default)
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of the videos")
    _add_setting(parser, settings["annotations"], default=None)
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder of the packed set; goes on where it was stopped",
    )
    for name, (parse, default, help) in PACKING.items():
        otherwise = "" if default is None else f" (default: {default})"
        parser.add_argument(f"--{name}", type=parse, default=default, help=help + otherwise)


def _add_check_videos(commands: Any) -> None:
    parser = _add_command(
        commands, "check-videos", _check_videos, "read videos to their end, and report damage"
    )
    parser.add_argument("--root", required=True, metavar="DIR", help="folder with videos below")
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="files read at the same time (default: CPUs)"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--best",
        action="store_true",
        help="weights of the epoch that did best on the test clips, not those of the last one",
    )


def _add_views(parser: argparse.ArgumentParser) -> None:
    for name, (default, help) in VIEWS.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{help} (default: {default})"
        )
    parser.add_argument(
        "--batch_size", type=int, default=8, help="views computed at a time (default: 8)"
    )


def _settings() -> dict[str, Any]:
    return Recipe.__dataclass_fields__


def _add_setting(
    parser: Any, field: Any, default: Any = argparse.SUPPRESS, required: bool = False
) -> None:
    """A flag for a field of Recipe. Not given, it leaves no trace, so the recipe's value holds."""
    meta = field.metadata
    text, _, otherwise = meta["help"].partition(";")
    if field.default is False:
        switch = argparse.BooleanOptionalAction
        parser.add_argument(f"--{field.name}", action=switch, default=default, help=text)
        return
    shown = otherwise.strip() or ("required" if required else f"default: {_show(field.default)}")
    parser.add_argument(
        f"--{field.name}",
        type=meta["parse"],
        choices=meta["choices"],
        default=default,
        required=required,
        metavar=None if meta["choices"] else meta["parse"].__name__.upper(),
        help=f"{text} ({shown})",
    )


def _show(value: Any) -> str:
    return str(Fraction(value)) if value == 7 / 8 else str(value)


def _show_recipe(name: str) -> str:
    """A recipe by what it changes."""
    recipe = RECIPES[name]
    changes = [
        f"{key}={_show(getattr(recipe, key))}"
        for key, field in _settings().items()
        if getattr(recipe, key) != field.default
    ]
    return f"{name} ({' '.join(changes) or 'the defaults'})"


def _clip_shape(text: str) -> tuple[int, int, int]:
    try:
        frames, height, width = (int(number) for number in text.split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected TxHxW, as 16x256x256, not {text!r}") from error
    return frames, height, width


# --- Quiet -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what TensorFlow's libraries write to stderr while they load.

    They report missing CUDA libraries and CPU features before any log level counts. With
    --verbosity=1 everything is shown.
    """
    if flags.FLAGS.verbosity >= 1:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
            if "tensorflow" in sys.modules:  # the first look for GPUs complains as well
                sys.modules["tensorflow"].config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


if __name__ == "__main__":
    main()
