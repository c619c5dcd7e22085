"""`evaluate`: a test on labeled videos."""

import argparse
import contextlib
import json
from typing import Any

from keras_mtnet.cli.networks import load_network
from keras_mtnet.cli.parsing import add_command, add_model, add_setting, add_views, view_options
from keras_mtnet.cli.terminal import quiet_imports


def add_commands(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "evaluate", _evaluate, "test a network on labeled videos")
    add_model(parser)
    for name in ("data", "root", "annotations", "split"):
        add_setting(parser, name, default=None, otherwise="default: as in training")
    parser.add_argument(
        "--subset", choices=("train", "test", "all"), default="test", help="(default: %(default)s)"
    )
    add_views(parser)
    parser.add_argument(
        "--parallel_calls",
        type=int,
        metavar="N",
        help="videos read at the same time (default: CPUs, as long as it takes less than 512 MB)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="X",
        help="score from which a class counts as present, of sigmoids (default: %(default)s)",
    )
    parser.add_argument(
        "--scores",
        metavar="FILE",
        help="CSV of scores per video, written as they come; a stopped test continues from it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument("--picture", metavar="FILE", help="draw the confusion matrix")
    parser.add_argument("--confusion", metavar="FILE", help="write the confusion matrix as CSV")
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored"),
        default="none",
        help="mirrored: all GPUs of this machine share each batch (default: %(default)s)",
    )
    parser.add_argument(
        "--logical_cpus",
        type=int,
        default=0,
        metavar="N",
        help="split the CPU into N devices, to try --strategy mirrored without GPUs",
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet import plots
        from keras_mtnet.data import read_split
        from keras_mtnet.inference import evaluate_views
        from keras_mtnet.training.recipe import Recipe
        from keras_mtnet.training.run_folder import stored_recipe
    trained = stored_recipe(arguments.run) if arguments.run else Recipe()
    names = ("data", "root", "annotations", "split")
    place = {name: getattr(arguments, name) or getattr(trained, name) for name in names}
    if not place["root"]:
        raise ValueError("--root is missing: the folder of the videos")
    with _distributed(arguments):
        model = load_network(arguments)
    videos = read_split(place.pop("data"), **place, subset=arguments.subset)
    options = view_options(arguments) | {
        "parallel_calls": arguments.parallel_calls,
        "threshold": arguments.threshold,
        "scores_file": arguments.scores,
    }
    result = evaluate_views(model, videos, **options, verbose=not arguments.json)
    print(json.dumps(result.to_dict(), indent=2) if arguments.json else result)
    if arguments.confusion:
        result.write_confusion(arguments.confusion)
    if arguments.picture:
        plots.confusion_matrix(result.confusion, result.class_names, arguments.picture)


def _distributed(arguments: argparse.Namespace) -> Any:
    """The scope in which a network is made that computes on the devices asked for."""
    if arguments.strategy == "none" and not arguments.logical_cpus:
        return contextlib.nullcontext()
    from keras_mtnet.training.devices import make_strategy

    return make_strategy(arguments.strategy, arguments.batch_size, arguments.logical_cpus).scope()
