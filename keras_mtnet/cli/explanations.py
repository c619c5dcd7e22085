"""`explain`, `report` and `app`: what a network sees, for the one who asks and for visitors."""

import argparse
from typing import Any

from keras_mtnet.cli.networks import load_network
from keras_mtnet.cli.parsing import (
    add_clip_flags,
    add_command,
    add_model,
    add_place,
    add_views,
    clip_options,
    view_options,
)
from keras_mtnet.cli.terminal import quiet_imports


def add_commands(commands: Any) -> None:
    """Adds the commands."""
    parser = add_command(
        commands, "explain", _explain, "show where a network looks in a video, and what it keeps"
    )
    parser.add_argument("video", metavar="VIDEO", help="video file, or folder of pictures")
    add_model(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="new folder (required)")
    parser.add_argument(
        "--label", metavar="NAME", help="class to explain (default: the best for the video)"
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="layer to look at, as stage3_block1 (default: the last)"
    )
    add_clip_flags(parser.add_argument_group("clip"))

    parser = add_command(
        commands, "report", _report, "test a run and write all about it as one HTML page"
    )
    parser.add_argument("--run", required=True, metavar="DIR", help="finished run (required)")
    parser.add_argument(
        "--output", metavar="FILE", help="page to write (default: report.html in the run)"
    )
    parser.add_argument("--best", action="store_true", help="the weights of the best epoch")
    parser.add_argument(
        "--hardest", type=int, default=5, metavar="N", help="videos to show (default: %(default)s)"
    )
    add_place(parser)
    add_views(parser)

    parser = add_command(commands, "app", _app, "serve a page on which people try a network")
    add_model(parser, "I3D", "kinetics400")
    for name, kind, default, help in (
        ("host", str, "127.0.0.1", "address to listen at"),
        ("port", int, 7860, "of the address; 0 takes the first free one from 7860 on"),
        ("megabytes", float, 100.0, "largest upload"),
    ):
        help = f"{help} (default: {default})"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="X", help=help)


def _explain(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet import plots
        from keras_mtnet.explain import branches, explain_video
        from keras_mtnet.files import check_new_folder
    check_new_folder(arguments.output, "an explanation")
    plots.check_available()
    names = ("label", "layer")
    options = {name: getattr(arguments, name) for name in names} | clip_options(arguments)
    found = explain_video(load_network(arguments), arguments.video, **options)
    for name, score in found.best:
        print(f"  {score:.4f}  {name}")
    if found.kept:
        print(f"{found.kept[0].layer} keeps frames {', '.join(map(str, found.first_kept))}")
    if found.energies:
        print(branches.table(found.energies))
    print(f"What speaks for {found.label} is in {found.write(arguments.output)}")


def _report(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet.report import write_report
    names = ("run", "output", "best", "hardest", "data", "root", "annotations", "split")
    options = {name: getattr(arguments, name) for name in names} | view_options(arguments)
    print(f"The report is in {write_report(**options)}")


def _app(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet.app import run_app
    names = ("host", "port", "megabytes")
    run_app(load_network(arguments), **{name: getattr(arguments, name) for name in names})
