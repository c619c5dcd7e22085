"""Which kernels a contender spends its time in, as JAX's and PyTorch's own profilers tell it."""

import gzip
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_contenders import Contender, Unavailable
from speed_contenders.__main__ import build, prepare

RUNS = 3


def profile(contender: Contender) -> dict[str, float]:
    """Shares of kinds of kernels in the time of all, largest first; the small ones together.

    The last entry is the time of all kernels over that of the clock: where a GPU's is far below
    100 %, it waits for the host; those of a processor's cores add up.
    """
    prepare(contender)
    run = build(contender).run
    run()
    run()
    start = time.perf_counter()
    for _ in range(RUNS):
        run()
    clock = 1e6 * (time.perf_counter() - start)  # the profilers slow it down
    seen = {"jax": _seen_by_jax, "torch": _seen_by_torch}.get(contender.backend)
    if seen is None:
        raise Unavailable(f"no profile by kernel on {contender.backend}")
    micros: dict[str, float] = {}
    for name, time_of in seen(run):
        micros[kind(name)] = micros.get(kind(name), 0.0) + time_of
    return shares(micros) | {"all, beside the clock": sum(micros.values()) / clock}


def shares(micros: dict[str, float], least: float = 0.01) -> dict[str, float]:
    total = sum(micros.values())
    large = sorted((k for k in micros if micros[k] >= least * total), key=micros.get)[::-1]
    rest = 1 - sum(micros[k] for k in large) / total
    return {k: micros[k] / total for k in large} | {"others": rest}


def kind(name: str) -> str:
    """A kernel's name without template arguments, parameters and numbers: `aten::mul`, `fusion`."""
    return re.sub(r"^void |[<(].*|([._]\d+)+$", "", name)[:60]


def _seen_by_torch(run: Callable[[], Any]) -> list[tuple[str, float]]:
    """Kernels of the GPU, or PyTorch's own operations on the processor; microseconds."""
    import torch
    from torch.autograd import DeviceType

    with torch.profiler.profile() as told:
        for _ in range(RUNS):
            run()
    events = told.key_averages()
    if torch.cuda.is_available():
        kernels = [e for e in events if e.device_type == DeviceType.CUDA]
        return [(e.key, e.self_device_time_total) for e in kernels]
    return [(e.key, e.self_cpu_time_total) for e in events]


def _seen_by_jax(run: Callable[[], Any]) -> list[tuple[str, float]]:
    """Kernels in the streams of the GPU, or XLA's operations on the processor; microseconds."""
    import jax

    chosen = jax.profiler.ProfileOptions()
    chosen.python_tracer_level = 0  # calls of Python would crowd out kernels
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=chosen):
            for _ in range(RUNS):
                run()
        with gzip.open(next(Path(folder).rglob("*.trace.json.gz"))) as file:
            events = json.load(file)["traceEvents"]
    streams = {
        (e["pid"], e["tid"])
        for e in events
        if e.get("name") == "thread_name" and e["args"]["name"].startswith("Stream")
    }
    return [
        (e["name"], e["dur"])
        for e in events
        if e.get("ph") == "X"
        and ((e["pid"], e["tid"]) in streams if streams else "hlo_op" in e.get("args", {}))
    ]
