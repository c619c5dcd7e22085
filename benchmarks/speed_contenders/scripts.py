"""What a script in a process of its own measures: first scores, sizes of graphs, shares of time."""

import argparse
import dataclasses
import functools
import json
import subprocess
import sys
import time

from speed_contenders import Contender
from speed_contenders.choices import NAMES, clip_of, contender, sizes
from speed_contenders.turns import Failed, Row, environment, run_rounds


def measure_first(options: argparse.Namespace) -> list[Row]:
    """Times processes that do what a user's first script does."""
    clip = clip_of(options)
    small, large = ("tiny", "tiny") if options.quick else ("MTNetM", "MTNetL")
    scripts = {
        f"ours, {small}": our_script(small, clip),
        f"ours, {small}, model.predict": our_script(small, clip, call="predict(clip, verbose=0)"),
        f"ours, {small}, built for any size": our_script(small, (None, None, None), clip),
        f"ours, {large}": our_script(large, clip),
        NAMES["authors"]: torch_script("authors", clip, options),
        NAMES["x3d"]: torch_script("x3d", clip, options),
    }
    measure = f"first scores, 1 x {sizes(clip)}"
    rows = {name: Row(measure, name) for name in scripts}
    runs = {
        name: functools.partial(first_line, script, options) for name, script in scripts.items()
    }
    run_rounds(rows, runs, options, warm_up=1)
    return list(rows.values())


def our_script(
    model: str,
    built_for: tuple,
    clip: tuple | None = None,
    call: str = "__call__(clip, training=False)",
) -> str:
    """Calls the model as `predict_video` does for the first video: without tracing it."""
    builder = "MTNet((16,), (1,), stem_filters=16, " if model == "tiny" else f"{model}("
    shape = (1, *(clip or built_for), 3)
    return f"""
import keras_mtnet, numpy
model = keras_mtnet.{builder}input_shape={(*built_for, 3)}, classes=101)
clip = keras_mtnet.preprocess_input(numpy.random.randint(0, 256, {shape}, "uint8"))
print(model.{call}.shape)
"""


def torch_script(network: str, clip: tuple, options: argparse.Namespace) -> str:
    return f"""
import torch
from speed_contenders import Contender, pytorch
network = pytorch.{network}_network({contender(options, network, "inference", 1, clip)!r}).eval()
with torch.no_grad():
    print(network(torch.randn(1, 3, *{clip})).shape)
"""


def first_line(script: str, options: argparse.Namespace) -> float:
    """Seconds from the start of Python to the first line a script prints."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(options.backend),
    ) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        errors = process.communicate()[1].strip().splitlines()
    if not line:
        raise Failed(errors[-1] if errors else f"it ended with status {process.returncode}")
    return seconds


def measure_operations(options: argparse.Namespace) -> list[Row]:
    """Counts the operations of inference graphs, those inside loops included."""
    clip = clip_of(options)
    some, unknown = (*clip, 3), (None, None, None, 3)
    kinds = {
        "built for this size": (some, (1, *some)),
        "built for any size, given this": (unknown, (1, *some)),
        "any size": (unknown, (None, *unknown)),
    }
    rows = []
    for model in ("tiny",) if options.quick else ("MTNetM", "MTNetL"):
        for kind, (built_for, given) in kinds.items():
            network = dataclasses.replace(
                contender(options, "ours", "inference", 1, clip), model=model
            )
            script = f"""
from speed_contenders import Contender, ours
print(ours.graph_operations(ours.network({network!r}, {built_for}), {given}))
"""
            rows.append(Row(f"operations of the graph, {sizes(clip)}", f"{model}, {kind}"))
            try:
                rows[-1].graph_operations = int(last_line(script, "tensorflow"))
            except Failed as reason:
                rows[-1].note = f"not measured: {reason}"
    return rows


def measure_profile(options: argparse.Namespace) -> list[Row]:
    """Shares of kinds of TensorFlow's operations in the time of all, added up over the cores."""
    of = contender(options, "ours", "inference", 1, clip_of(options), backend="tensorflow")
    return shares_of(f"profile, 1 x {sizes(of.clip)}", of, "ours")


def measure_kernels(options: argparse.Namespace) -> list[Row]:
    """Shares of kernels on JAX and PyTorch, of a GPU where there is one."""
    rows = []
    networks = {"ours": ("jax", "torch"), "authors": ("torch",), "x3d": ("torch",)}
    for task, batch in (("inference", 1), ("training", 2 if options.quick else 4)):
        for network, backends in networks.items():
            for backend in backends:
                of = contender(options, network, task, batch, clip_of(options), backend=backend)
                measure = f"kernels, {task}, {batch} x {sizes(of.clip)}, {backend}, {network}"
                rows += shares_of(measure, of, "kernels")
    return rows


def shares_of(measure: str, of: Contender, module: str) -> list[Row]:
    """A row for each kind of operation or kernel in the `profile` of a module."""
    script = f"""
import json
from speed_contenders import Contender, {module}
print(json.dumps({module}.profile({of!r})))
"""
    try:
        shares = json.loads(last_line(script, of.backend))
    except Failed as reason:
        return [Row(measure, NAMES[of.network], f"not measured: {reason}")]
    return [Row(measure, kind, f"{share:.1%}") for kind, share in shares.items()]


def last_line(script: str, backend: str, seconds: float = 1800) -> str:
    """What a script prints last."""
    command = [sys.executable, "-c", script]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(backend), timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {seconds:g} seconds") from None
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])
    return done.stdout.splitlines()[-1]
