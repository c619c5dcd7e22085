"""How fast the networks are, measured in turns against the authors' own and against X3D.

    python benchmarks/speed.py --reference PATH --json speed.json

PATH is a checkout of github.com/alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates, whose
network runs with the widths and depths of MTNetM; X3D-M is that of `pip install pytorchvideo
fvcore`. Both need PyTorch. What cannot run is listed with the reason.

    --only inference    one clip of 16x224x224, and eight
    --only training     a step (forward, backward, SGD) on four clips of 16x112x112, and its memory
    --only steps        the same two with one thing at a time in its plain form, on TensorFlow
    --only profile      the kinds of operations that one clip of 16x224x224 spends its time in
    --only kernels      likewise by kernel on JAX and PyTorch, of training on four clips, too
    --only first        from the start of Python to the first scores
    --only operations   size of the TensorFlow graphs, for clips of one size and of any size
    --only scaling      8-64 frames and 112-320 pixels, and the power of them that time follows
    --only backends     TensorFlow, XLA, JAX, PyTorch; with a GPU one, eight and 64 clips, training
                        on 16, and half precision, too

Every contender is in a process of its own and takes its turn (speed_contenders). A line tells the
median, least and quartiles of its seconds; the ratio is its time over that of the first line of
its group, the median over the rounds. MB is the peak of the process beyond what it held before it
built the network, or of the GPU where it ran there. KERAS_BACKEND chooses the backend of ours,
TensorFlow where there is one. Nothing else should run on the machine meanwhile: PyTorch's threads
wait for each other, and it is slowed most. `--quick` tries the script on a tiny network; its times
mean nothing.
"""

import argparse
import contextlib
import dataclasses
import datetime
import functools
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed_contenders import cores
from speed_contenders.choices import NAMES, clip_of, contender, sizes
from speed_contenders.plain_forms import FORMS
from speed_contenders.scripts import (
    measure_first,
    measure_kernels,
    measure_operations,
    measure_profile,
)
from speed_contenders.turns import Row, header, table, take_turns

BACKENDS = ("tensorflow", "jax", "torch")

# --- the measurements -----------------------------------------------------------------------


def measure_inference(options: argparse.Namespace) -> list[Row]:
    rows = []
    for batch in (1,) if options.quick else (1, 8):
        clip = clip_of(options)
        contenders = {
            name: contender(options, network, "inference", batch, clip)
            for network, name in NAMES.items()
            if network != "recompute"
        }
        rows += take_turns(f"inference, {batch} x {sizes(clip)}", contenders, options)
    return rows


def measure_training(options: argparse.Namespace) -> list[Row]:
    batch, clip = 2 if options.quick else 4, clip_of(options, 112)
    contenders = {
        name: contender(options, network, "training", batch, clip)
        for network, name in NAMES.items()
        if network != "bare"
    }
    return take_turns(f"training step, {batch} x {sizes(clip)}", contenders, options)


def measure_steps(options: argparse.Namespace) -> list[Row]:
    """What each of the faster forms brings: the time without it over that with all.

    Training is that of a network of one block: eight whole ones take half an hour to trace.
    """
    rows = []
    for task, batch, pixels in (("inference", 1, 224), ("training", 4, 112)):
        batch, clip = 2 if options.quick else batch, clip_of(options, pixels)
        ours = contender(options, "ours", task, batch, clip)
        if task == "training":
            ours = dataclasses.replace(ours, model="tiny")
        plain = {form: dataclasses.replace(ours, form=form) for form in FORMS}
        measure = f"{task} by steps, {ours.model}, {batch} x {sizes(clip)}"
        rows += take_turns(measure, {"all": ours, **plain}, options)
    return rows


def measure_scaling(options: argparse.Namespace) -> list[Row]:
    """Times clips of growing length, and of growing size, and fits the power of each."""
    axes = {
        "frames": [(t, 112, 112) for t in (16, 8, 32, 64)],
        "pixels": [(16, s, s) for s in (112, 160, 224, 320)],
    }
    if options.quick:
        axes = {"frames": [(8, 32, 32), (16, 32, 32)], "pixels": [(8, 32, 32), (8, 48, 48)]}
    clips = list(dict.fromkeys(clip for clips in axes.values() for clip in clips))
    rows = take_turns(
        "scaling, 1 clip",
        {sizes(clip): contender(options, "ours", "inference", 1, clip) for clip in clips},
        options,
    )
    medians = {clip: row.median for clip, row in zip(clips, rows, strict=True)}
    for axis, clips in axes.items():
        row = Row("scaling, 1 clip", f"power of {axis}")
        if all(medians[clip] for clip in clips):
            lengths = [t if axis == "frames" else h * w for t, h, w in clips]
            row.exponent = power(lengths, [medians[clip] for clip in clips])
            row.note = f"time grows as {axis} to the {row.exponent:.2f}"
        else:
            row.note = "not measured: a size above is missing"
        rows.append(row)
    return rows


def power(lengths: Sequence[float], seconds: Sequence[float]) -> float:
    """Exponent `b` of the least-squares fit `log seconds = a + b log lengths`."""
    fit = statistics.linear_regression([*map(math.log, lengths)], [*map(math.log, seconds)])
    return fit.slope


def measure_backends(options: argparse.Namespace) -> list[Row]:
    """Times ours on every backend beside others' networks; in half precision, too, on a GPU."""
    gpu = has_gpu()
    tasks = [("inference", 1, 224), ("training", 4, 112)]
    if gpu:
        tasks = [("inference", batch, 224) for batch in (1, 8, 64)] + [("training", 16, 224)]
    kinds = {
        "authors, PyTorch": ("authors", "torch", False),
        "authors, torch.compile": ("authors", "torch", True),
        "X3D-M, PyTorch": ("x3d", "torch", False),
        "ours, TensorFlow": ("ours", "tensorflow", False),
        "ours, TensorFlow XLA": ("ours", "tensorflow", True),
        "ours, JAX": ("ours", "jax", True),
        "ours, PyTorch": ("ours", "torch", False),
        "ours, torch.compile": ("ours", "torch", True),
    }
    rows = []
    for task, batch, pixels in tasks:
        batch, clip = 2 if options.quick else batch, clip_of(options, pixels)
        for precision in ("float32", "bfloat16", "float16") if gpu else ("float32",):
            made = functools.partial(
                contender, options, task=task, batch=batch, clip=clip, precision=precision
            )
            contenders = {
                name: made(network, backend=backend, compiled=compiled)
                for name, (network, backend, compiled) in kinds.items()
            }
            rows += take_turns(f"{task}, {batch} x {sizes(clip)}, {precision}", contenders, options)
    if not gpu:
        note = "not measured: nvidia-smi finds no GPU"
        rows.append(Row("half precision", "bfloat16 and float16", note))
    return rows


def has_gpu() -> bool:
    try:
        return b"GPU" in subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout
    except OSError:
        return False


MEASURES = {
    "inference": measure_inference,
    "training": measure_training,
    "steps": measure_steps,
    "profile": measure_profile,
    "kernels": measure_kernels,
    "first": measure_first,
    "operations": measure_operations,
    "scaling": measure_scaling,
    "backends": measure_backends,
}


# --- what comes out -------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),  # before the first measurement: 0 when idle
    }


def processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--reference", help="folder with the authors' code")
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--repeats", type=int, default=15, help="rounds of a measurement")
    parser.add_argument("--seconds", type=float, default=60, help="time for a measurement's rounds")
    parser.add_argument("--limit", type=float, default=900, help="seconds to build a contender in")
    parser.add_argument("--quick", action="store_true", help="tiny network, to try the script")
    parser.add_argument("--verbose", action="store_true", help="show what the processes print")
    options = parser.parse_args(arguments)
    options.backend = os.environ.get("KERAS_BACKEND") or next(
        (name for name in BACKENDS if importlib.util.find_spec(name)), BACKENDS[0]
    )
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    here, rows = machine(), []
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    print(header(), flush=True)
    for name in options.only:  # each is shown and written when it is done: all take an hour
        measured = MEASURES[name](options)
        print(table(measured), flush=True)
        rows += measured
        if options.json:
            result = {"machine": here, "options": vars(options)}
            result["rows"] = [dataclasses.asdict(row) for row in rows]
            Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
