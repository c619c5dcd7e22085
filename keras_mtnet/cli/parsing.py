"""Parsing: errors of one line that name the nearest right word, and flags of several commands."""

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from absl.flags import argparse_flags

from keras_mtnet.training.recipe import Recipe

PROGRAM = "keras-mtnet"
# flag -> how its value is called in help; else by type
_METAVARS = {
    **dict.fromkeys(("root", "output"), "DIR"),
    **dict.fromkeys(("annotations", "weights"), "PATH"),
    "wandb": "PROJECT",
}
_TYPE_METAVARS = {"int": "N", "float": "X", "fraction": "X", "integers": "N,N,...", "str": "NAME"}
_CLIP_FLAGS = ("frames", "stride", "size", "fps", "sampling")


class Parser(argparse_flags.ArgumentParser):
    """Answers wrong usage with exit status 2 and one line that says what would be right."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            message += _nearest(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        end = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: error: {message}{end} '{self.prog} --help' explains it.\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Ends the program because of arguments that the command does not take."""
        known = re.findall(r"--[\w-]+", self.format_help())
        hints = [_nearest(word.split("=")[0], known) for word in unknown if word.startswith("-")]
        self.error(f"unrecognized arguments: {' '.join(unknown)}{''.join(hints)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, set(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


class Switch(argparse.Action):
    """A setting that is on or off: `--remat`, `--noremat`, `--remat 1`, `--remat 0`."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        both = [*option_strings, f"--no{dest}"]
        super().__init__(both, dest, nargs="?", metavar="0|1", **kwargs)

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        words = {None: True, "1": True, "true": True, "0": False, "false": False}
        value = words.get(values if values is None else values.lower())
        if value is None or (values and option_string != f"--{self.dest}"):
            parser.error(f"argument {option_string}: expected 0 or 1, not {values!r}")
        setattr(namespace, self.dest, value == (option_string == f"--{self.dest}"))


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], help: str, **kwargs: Any
) -> Parser:
    """Adds a subcommand that runs `run(arguments)`."""
    about = help[0].upper() + help[1:] + "."
    parser = commands.add_parser(name, help=help, description=about, allow_abbrev=False, **kwargs)
    parser.set_defaults(function=run)
    return parser


def settings() -> Mapping[str, Any]:
    """The fields of a training recipe, of which each is a flag."""
    return Recipe.__dataclass_fields__


def add_setting(
    parser: Any,
    name: str,
    default: Any = argparse.SUPPRESS,
    required: bool = False,
    otherwise: str = "",
) -> None:
    """A flag for a field of Recipe. Not given, it leaves no trace, so the recipe's value holds.

    `otherwise` says in its help what happens then, in place of what a recipe does.
    """
    field = settings()[name]
    meta = field.metadata
    text, _, usual = meta["help"].partition(";")
    if not otherwise:
        needed = required or field.default == ""
        otherwise = "required" if needed else usual.strip() or f"default: {show(field.default)}"
    help = f"{text} ({otherwise})"
    if meta["parse"] is bool:
        parser.add_argument(f"--{name}", action=Switch, default=default, help=help)
        return
    kind = meta["parse"].__name__
    metavar = None if meta["choices"] else _METAVARS.get(name) or _TYPE_METAVARS.get(kind, "X")
    options = {"type": meta["parse"], "choices": meta["choices"], "metavar": metavar}
    parser.add_argument(f"--{name}", default=default, required=required, help=help, **options)


def show(value: Any) -> str:
    """A value of a setting as its flag takes it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(Fraction(value)) if value == 7 / 8 else str(value)


def add_model(parser: Any, model: str | None = None, weights: str | None = None) -> None:
    """Flags that name a network: a run, a file, or a model of this package and its weights.

    `model` with `weights` is what is taken where none is named.
    """
    which = parser.add_mutually_exclusive_group(required=model is None)
    which.add_argument("--run", metavar="DIR", help="folder of a finished run")
    which.add_argument(
        "--model",
        default=model,
        metavar="NAME|FILE",
        help="a .keras file, an export, or a network by name, with --weights"
        + (f" (default: {model})" if model else ""),
    )
    parser.add_argument(
        "--weights",
        default=weights,
        metavar="NAME|FILE",
        help="of a --model given by name, as hacs" + (f" (default: {weights})" if weights else ""),
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="of a --run: the weights of the epoch with the best validation accuracy, not of the "
        "last one",
    )


def add_place(parser: Any) -> None:
    """Flags that say where the videos of a test are."""
    for name in ("data", "root", "annotations", "split"):
        add_setting(parser, name, default=None, otherwise="default: as in training")


def add_views(parser: Any) -> None:
    """Flags of `predict` and `evaluate`: which views are scored."""
    views = parser.add_argument_group("views")
    for name, default, help in (
        ("num_clips", 10, "clips spread over a video"),
        ("num_crops", 3, "crops of each clip, along the longer side"),
        ("batch_size", 8, "views in the network at a time"),
    ):
        help = f"{help} (default: {default})"
        views.add_argument(f"--{name}", type=int, default=default, metavar="N", help=help)
    views.add_argument(
        "--averaging",
        choices=("probabilities", "logits"),
        default="probabilities",
        help="what the mean over views is taken of (default: %(default)s)",
    )
    add_clip_flags(views)


def add_clip_flags(parser: Any) -> None:
    """Flags that say which clips a network takes."""
    for name in _CLIP_FLAGS:
        add_setting(parser, name, default=None, otherwise="default: the network's")


def clip_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of functions that `add_clip_flags` made flags of."""
    return {name: getattr(arguments, name) for name in _CLIP_FLAGS}


def view_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `predict_video` and `evaluate_views` that `add_views` made flags of."""
    names = ("num_clips", "num_crops", "batch_size", "averaging")
    return {name: getattr(arguments, name) for name in names} | clip_options(arguments)
