"""How fast the networks are, measured in turns against the authors' own and against X3D.

    python benchmarks/speed.py --reference PATH --json speed.json

PATH is a checkout of github.com/alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates, whose
network runs with the widths and depths of MTNetM; X3D-M is that of `pip install pytorchvideo
fvcore`. Both need PyTorch. What cannot run is listed with the reason. Every contender has a process
and takes its turn (speed_contenders.py); a row tells its median and quartiles, and the median over
all rounds of its time divided by that of the first contender in the same round.

    --only inference    one MTNetM clip of 16x224x224, and eight (TensorFlow graph where there is)
    --only training     a step on four clips of 16x112x112; with the peak memory of each process
    --only first        from the start of Python to the first scores: MTNetM, MTNetL
    --only operations   size of the TensorFlow graphs, for clips of one size and of any size
    --only scaling      8-64 frames and 112-320 pixels, and the power of time they follow
    --only backends     TensorFlow, XLA, JAX, PyTorch; with a GPU also in half precision

Memory is what a process gained from before it built its network to its peak. Nothing else should
run on the machine meanwhile. `--quick` tries the script on a tiny network; its times mean nothing.
"""

import argparse
import contextlib
import dataclasses
import datetime
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from speed_contenders import Contender

HERE = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax", "torch")
NAMES = {
    "ours": "ours, ratio 7/8",
    "ratio1": "ours, ratio 1",
    "bare": "ours, bare products",
    "authors": "authors, PyTorch",
    "x3d": "X3D-M, PyTorch",
}


@dataclasses.dataclass
class Row:
    """A line of the table: one contender in one measurement; times in seconds."""

    measure: str
    contender: str
    note: str = ""
    seconds: list[float] = dataclasses.field(default_factory=list, repr=False)
    median: float | None = None
    quartiles: tuple[float, float] | None = None
    ratio: float | None = None  # to the first contender, median over rounds
    params: int | None = None
    macs: int | None = None
    memory_mb: float | None = None  # peak of the process beyond what it had before building
    memory_before_mb: float | None = None
    graph_operations: int | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def time(self, seconds: list[float], first: list[float] | None) -> None:
        """Fills in what follows from one time a round, its own and the first contender's."""
        self.seconds = seconds
        self.median = statistics.median(seconds)
        cuts = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else seconds
        self.quartiles = (cuts[0], cuts[-1])
        if first:
            self.ratio = statistics.median(a / b for a, b in zip(seconds, first, strict=True))


class Worker:
    """A process with one contender in it, which runs when told to."""

    def __init__(self, contender: Contender, verbose: bool):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "speed_contenders.py", json.dumps(vars(contender))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
            env=environment(contender.backend),
        )

    def read(self) -> dict[str, Any]:
        """The next answer; a process that ended without one gives an error."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"error": f"its process ended with status {self.process.wait()}"}

    def run(self) -> float:
        print("run", file=self.process.stdin, flush=True)
        return self.read()["seconds"]

    def end(self) -> dict[str, Any]:
        self.process.stdin.close()
        answer = self.read()
        self.process.wait()
        return answer


def environment(backend: str) -> dict[str, str]:
    """Variables of a contender's process: its backend, and no more GPU memory than it needs."""
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def take_turns(
    measure: str, contenders: dict[str, Contender], options: argparse.Namespace
) -> list[Row]:
    """Times contenders in turns; each round begins with another one.

    Args:
        measure: what is measured, for the table.
        contenders: name -> contender; times are compared with the first one's.
        options: of the command line.
    """
    rows = {name: Row(measure, name) for name in contenders}
    workers = {name: Worker(c, options.verbose) for name, c in contenders.items()}
    with ended(workers):
        for name in list(workers):
            answer = workers[name].read()
            if "error" in answer:
                rows[name].note = answer["error"]
                workers.pop(name).end()
                continue
            for field in ("params", "macs", "graph_operations", "versions"):
                setattr(rows[name], field, answer[field])
            rows[name].note = "on the GPU" if answer["device"] == "gpu" else ""
        seconds = rounds({name: worker.run for name, worker in workers.items()}, options)
        for name, worker in workers.items():
            memory = worker.end()
            rows[name].memory_before_mb = memory["memory_before_mb"]
            rows[name].memory_mb = memory["memory_peak_mb"] - memory["memory_before_mb"]
    first = seconds.get(next(iter(contenders)))
    for name, times in seconds.items():
        rows[name].time(times, first)
    return list(rows.values())


@contextlib.contextmanager
def ended(workers: dict[str, Worker]) -> Iterator[None]:
    """Leaves no process behind when the script is interrupted."""
    started = list(workers.values())
    try:
        yield
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.wait()


def rounds(
    runs: dict[str, Callable[[], float]], options: argparse.Namespace, warm_up: int = 2
) -> dict[str, list[float]]:
    """Runs each once a round: `--repeats` rounds, fewer where `--seconds` are over (at least 3)."""
    names, seconds = list(runs), {name: [] for name in runs}
    for _ in range(warm_up):
        for run in runs.values():
            run()
    start = time.monotonic()
    for number in range(options.repeats):
        if number >= 3 and time.monotonic() - start > options.seconds:
            break
        shift = number % max(1, len(names))
        for name in names[shift:] + names[:shift]:
            seconds[name].append(runs[name]())
    return seconds


# --- the measurements -----------------------------------------------------------------------


def measure_inference(options: argparse.Namespace) -> list[Row]:
    rows = []
    for batch in (1, 2) if options.quick else (1, 8):
        clip = (8, 64, 64) if options.quick else (16, 224, 224)
        contenders = {
            name: contender(options, network, "inference", batch, clip)
            for network, name in NAMES.items()
        }
        rows += take_turns(f"inference, {batch} x {sizes(clip)}", contenders, options)
    return rows


def measure_training(options: argparse.Namespace) -> list[Row]:
    batch, clip = (2, (8, 64, 64)) if options.quick else (4, (16, 112, 112))
    contenders = {
        name: contender(options, network, "training", batch, clip)
        for network, name in NAMES.items()
        if network != "bare"
    }
    return take_turns(f"training step, {batch} x {sizes(clip)}", contenders, options)


def contender(
    options: argparse.Namespace, network: str, task: str, batch: int, clip: Sequence[int], **kwargs
) -> Contender:
    kwargs = {"backend": options.backend, **kwargs}
    model = "tiny" if options.quick else "MTNetM"
    return Contender(network, task, batch, clip, model, reference=options.reference, **kwargs)


def sizes(clip: Sequence[int]) -> str:
    return "x".join(map(str, clip))


MEASURES = {"inference": measure_inference, "training": measure_training}


# --- what comes out -------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> str:
    header = ("", "median s", "quartiles s", "ratio", "params", "GMACs", "MB", "graph", "")
    lines = []
    for row in rows:
        quartiles = row.quartiles and "{:.3f}-{:.3f}".format(*row.quartiles)
        lines.append(
            (
                f"  {row.contender}",
                _figure(row.median, ".3f"),
                quartiles or "",
                _figure(row.ratio, ".2f"),
                _figure(row.params, ","),
                _figure(row.macs and row.macs / 1e9, ".2f"),
                _figure(row.memory_mb, ",.0f"),
                _figure(row.graph_operations, ","),
                row.note,
            )
        )
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header) - 1)]
    printed, measure = [_line(header, widths)], None
    for row, line in zip(rows, lines, strict=True):
        if row.measure != measure:
            measure = row.measure
            printed.append(measure)
        printed.append(_line(line, widths))
    return "\n".join(printed)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *figures, note = cells
    figures = [cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True)]
    return "  ".join([first.ljust(widths[0]), *figures, note]).rstrip()


def machine() -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.platform(),
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
    parser.add_argument("--quick", action="store_true", help="tiny network, to try the script")
    parser.add_argument("--verbose", action="store_true", help="show what the processes print")
    options = parser.parse_args(arguments)
    options.backend = os.environ.get("KERAS_BACKEND") or next(
        (name for name in BACKENDS if importlib.util.find_spec(name)), BACKENDS[0]
    )
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    rows = []
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += MEASURES[name](options)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print(table(rows))
    if options.json:
        result = {"machine": machine(), "options": vars(options)}
        result["rows"] = [dataclasses.asdict(row) for row in rows]
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
