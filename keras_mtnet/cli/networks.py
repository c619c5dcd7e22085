"""`info`, `list`, `export` and `convert-weights`: the networks and their weights."""

import argparse
import os
from typing import Any

from keras_mtnet.cli.parsing import PROGRAM, add_command, add_model, add_setting
from keras_mtnet.cli.terminal import quiet_imports
from keras_mtnet.networks import NETWORKS
from keras_mtnet.presets import PRESETS
from keras_mtnet.training.recipe import Recipe

_FORMATS = ("savedmodel", "onnx", "litert")


def add_commands(commands: Any) -> None:
    """Adds the four commands."""
    parser = add_command(commands, "info", _info, "show a network's parameters and multiply-adds")
    parser.add_argument("model", choices=NETWORKS)
    parser.add_argument(
        "--input", type=_clip_shape, metavar="TxHxW", help="frames, height, width (the model's own)"
    )
    parser.add_argument(
        "--classes", type=int, default=200, metavar="N", help="(default: %(default)s)"
    )
    for name in ("variant", "weights", "ratio", "cell", "stage_filters", "stage_depths"):
        add_setting(parser, name, default=getattr(Recipe, name))

    add_command(commands, "list", _list, "list the networks and their pretrained weights")

    parser = add_command(commands, "export", _export, "write a network for use without Keras")
    add_model(parser)
    parser.add_argument(
        "--format", choices=_FORMATS, default="savedmodel", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="of the stored weights, for litert; the others keep float32 (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="PATH",
        help="new folder, or new file that ends in .onnx or .tflite (required)",
    )
    parser.add_argument(
        "--check",
        nargs="+",
        default=(),
        metavar="VIDEO",
        help="videos whose middle clips are scored by export and network (default: noise)",
    )

    parser = add_command(
        commands, "convert-weights", _convert_weights, "convert weights from PyTorch, and back"
    )
    parser.add_argument(
        "source",
        help="published checkpoint; or, on the way back, Keras weights: a file, a run or a "
        "name as hacs",
    )
    published = tuple(dict.fromkeys(model for model, _ in PRESETS))
    parser.add_argument("--model", choices=published, required=True, help="network (required)")
    parser.add_argument(
        "--weights", metavar="NAME", help="preset of the checkpoint (default: the only one)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=".weights.h5, or .pth or .safetensors on the way back (default: where weights=NAME "
        "finds it)",
    )


def load_network(arguments: argparse.Namespace) -> Any:
    """The network that `--run`, or `--model` with `--weights`, names.

    One by name is built for clips of `--frames` and `--size`, where they are given, and for as many
    classes as the file of its weights has.
    """
    from keras_mtnet.export import is_export, load_export
    from keras_mtnet.models import build, load_model
    from keras_mtnet.models.builder import default_clip
    from keras_mtnet.presets import lookup
    from keras_mtnet.training import load_run
    from keras_mtnet.weights.load import stored_classes

    if arguments.run:
        return load_run(arguments.run, best=arguments.best)[0]
    if is_export(arguments.model):
        return load_export(arguments.model)
    if os.path.exists(arguments.model):
        return load_model(arguments.model, compile=False)
    if not arguments.weights:
        raise ValueError(
            f"--model {arguments.model} is no file, and a network by name needs --weights, of "
            f"which '{PROGRAM} list' shows the names."
        )
    options: dict[str, Any] = {}
    if lookup(arguments.model, arguments.weights) is None:  # a file: what was it trained for?
        options["classes"] = stored_classes(arguments.weights)
        if options["classes"] is None:
            raise ValueError(f"--weights {arguments.weights} has no classifier to name classes by.")
    given = getattr(arguments, "frames", None), getattr(arguments, "size", None)
    if given != (None, None):
        usual = default_clip(arguments.model, arguments.weights)
        frames, size = (own or other for own, other in zip(given, usual, strict=True))
        options["input_shape"] = (frames, size, size, 3)
    return build(arguments.model, weights=arguments.weights, **options)


def _info(arguments: argparse.Namespace) -> None:
    with quiet_imports():
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


def _list(arguments: argparse.Namespace) -> None:
    from keras_mtnet.presets import list_presets

    print(repr(list_presets()))
    others = (name for name in NETWORKS if not list_presets(name))
    print(f"\nWithout published weights: {', '.join(others)}")


def _export(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet import export
    options = {"check": arguments.check}
    if arguments.format == "litert":
        options["precision"] = arguments.precision
    elif arguments.precision != "float32":
        raise ValueError(
            f"--format {arguments.format} stores float32. Received: --precision "
            f"{arguments.precision}, which only --format litert takes"
        )
    model = load_network(arguments)
    function = getattr(export, f"export_{arguments.format}")
    print(f"Wrote {function(model, arguments.output, **options)}")


def _convert_weights(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet.convert import convert_weights
    names = ("source", "model", "weights", "output")
    path = convert_weights(**{name: getattr(arguments, name) for name in names})
    print(f"Wrote {path}")


def _clip_shape(text: str) -> tuple[int, int, int]:
    try:
        frames, height, width = (int(number) for number in text.split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected TxHxW, as 16x256x256, not {text!r}") from error
    return frames, height, width
