"""`benchmark`: what this machine is, how fast networks are on it, and whether they are right."""

import argparse
import dataclasses
import json
from typing import Any

from keras_mtnet.cli.parsing import add_command
from keras_mtnet.cli.terminal import quiet_imports
from keras_mtnet.files import write_text
from keras_mtnet.networks import NETWORKS

# Clips whose stages have many, few and one frame and pixel: kernels meet every kind of edge.
CLIPS = ((16, 112), (8, 80), (4, 48), (3, 40), (1, 32))


def add_commands(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(
        commands, "benchmark", _benchmark, "measure speed on this machine, and check its numbers"
    )
    parser.add_argument(
        "--model", nargs="+", choices=NETWORKS, default=["MTNetS"], metavar="NAME",
        help="networks (default: MTNetS)",
    )  # fmt: skip
    for name, default, help in (
        ("frames", 16, "frames of a clip"),
        ("size", 112, "height and width of a clip"),
        ("batch_size", 1, "clips at a time"),
        ("rounds", 10, "times each is measured"),
    ):
        help = f"{help} (default: {default})"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=help)
    parser.add_argument(
        "--check",
        action="store_true",
        help="instead, compare every convolution of the networks, and its gradients, with double "
        "precision, in float32, float16 and bfloat16 (TensorFlow; minutes)",
    )
    parser.add_argument("--output", metavar="FILE", help="write the figures as JSON, to send")


def _benchmark(arguments: argparse.Namespace) -> None:
    with quiet_imports():
        from keras_mtnet.benchmark import machine
    about = machine.describe()
    for name, value in about.items():
        parts = [f"{n} {v}" for n, v in value.items()] if isinstance(value, dict) else value
        print(f"{name + ':':14}{', '.join(parts) if isinstance(parts, list) else parts}")
    print()
    rows, wrong = (_check if arguments.check else _time)(arguments)
    if arguments.output:
        write_text(arguments.output, json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    if wrong:
        raise ArithmeticError(
            f"{wrong} results are wrong on this machine; the lines above say which"
        )


def _time(arguments: argparse.Namespace) -> tuple[list[Any], int]:
    from keras_mtnet.benchmark import machine
    from keras_mtnet.models import build

    speeds = []
    shape = (arguments.frames, arguments.size, arguments.size, 3)
    for name in arguments.model:
        model = build(name, input_shape=shape, weights=None)
        speeds += machine.measure(model, arguments.batch_size, arguments.rounds)
    print(machine.table(speeds))
    return [dataclasses.asdict(speed) for speed in speeds], 0


def _check(arguments: argparse.Namespace) -> tuple[list[Any], int]:
    from keras_mtnet.benchmark import convolutions
    from keras_mtnet.models import build

    cases: dict[str, convolutions.Case] = {}
    for name in arguments.model:
        for frames, size in CLIPS:
            model = build(name, input_shape=(frames, size, size, 3), weights=None)
            cases.update((str(case), case) for case in convolutions.convolutions_of(model))
    results = list(convolutions.check(list(cases.values())))
    print(convolutions.table(results))
    rows = [
        {"convolution": str(r.case), "precision": r.precision, "errors": r.errors} for r in results
    ]
    for result in (wrong := [result for result in results if not result.right]):
        errors = ", ".join(f"{error:.2g}" for error in result.errors)
        print(f"WRONG in {result.precision}: {result.case} ({errors})")
    return rows, len(wrong)
