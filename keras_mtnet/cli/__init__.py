"""The command `keras-mtnet`. Each subcommand parses its flags and calls one public function.

A subcommand imports Keras when it runs, so that help comes at once.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence

from absl import app, flags

from keras_mtnet.cli import benchmark, explanations, networks, predictions, runs, scores, videos
from keras_mtnet.cli.parsing import PROGRAM, Parser
from keras_mtnet.cli.terminal import plain_logs, show_any_name


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command and exits with status 0 (done), 1 (failed) or 2 (wrong usage).

    Args:
        argv: arguments without the program's name; those of the process when None.
    """
    show_any_name()
    arguments = sys.argv[1:] if argv is None else list(argv)
    app.run(_run, [PROGRAM, *arguments], flags_parser=_parse)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Multi-Temporal Networks for human action recognition in video.",
        epilog=f"'{PROGRAM} COMMAND --help' explains a command; --verbosity=1, after the command, "
        "shows the traceback of an error.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in (networks, runs, scores, predictions, explanations, videos, benchmark):
        group.add_commands(commands)
    arguments, unknown = parser.parse_known_args(argv[1:])
    if unknown:
        commands.choices[arguments.command].refuse(unknown)
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    try:
        with plain_logs(news=not getattr(arguments, "json", False)):
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
