"""`pack` and `check-videos`: the videos themselves."""

import argparse
import json
from typing import Any

from keras_mtnet.cli.parsing import add_command, add_setting
from keras_mtnet.training.recipe import Recipe

# argument of `pack` -> type, default, help
_PACKING: dict[str, tuple[type, Any, str]] = {
    "shards": (int, 64, "number of files"),
    "short_side": (int, 320, "shrink larger frames to this short side"),
    "quality": (int, 85, "of the JPEGs, 1 to 100"),
    "fps": (float, None, "keep this many frames per second (default: all)"),
    "workers": (int, None, "files written at the same time (default: number of CPUs)"),
    "shard_index": (int, 0, "which part of the files to write, counted from 0"),
    "shard_count": (int, 1, "of how many parts, on as many machines"),
}


def add_commands(commands: Any) -> None:
    """Adds both commands."""
    parser = add_command(
        commands, "pack", _pack, "store a dataset as JPEG frames in a few files, to read it fast"
    )
    add_setting(parser, "data", default=Recipe.data)
    parser.add_argument("--root", required=True, metavar="DIR", help="dataset folder (required)")
    add_setting(parser, "annotations", default=None)
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder of the packed set; continues where it was stopped (required)",
    )
    for name, (kind, default, help) in _PACKING.items():
        help += "" if default is None else f" (default: {default})"
        metavar = "N" if kind is int else "X"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=help)

    parser = add_command(
        commands, "check-videos", _check_videos, "read videos to their end and report damage"
    )
    parser.add_argument(
        "--root", required=True, metavar="DIR", help="folder with videos below (required)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="files read at the same time (default: CPUs)"
    )


def _pack(arguments: argparse.Namespace) -> None:
    from keras_mtnet.cli.terminal import quiet_imports

    with quiet_imports():
        from keras_mtnet.data import pack
    options = {name: getattr(arguments, name) for name in ("annotations", *_PACKING)}
    packed = pack(arguments.data, arguments.root, arguments.output, progress=True, **options)
    for name, reason in packed.unreadable.items():
        print(f"unreadable: {name}: {reason}")
    print(", ".join(f"{count} {what}" for what, count in packed.counts.items()))
    if packed.unfinished:
        done = packed.info.shards - len(packed.unfinished)
        print(f"{done} of {packed.info.shards} shards are in {arguments.output}, others are to do")
    else:
        print(f"The set is complete: use --root {arguments.output}")


def _check_videos(arguments: argparse.Namespace) -> None:
    from keras_mtnet.video.check import check_videos, table

    checks = check_videos(arguments.root, arguments.workers, progress=True)
    print(json.dumps([c.to_dict() for c in checks], indent=2) if arguments.json else table(checks))
    faults = sum(check.error is not None for check in checks)
    if faults:
        raise ValueError(f"{faults} of {len(checks)} videos are damaged or unreadable")
