"""Contenders that take turns, and the table of what came out."""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from speed_contenders import Contender

FOLDER = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """Why a contender did not run."""


@dataclasses.dataclass
class Row:
    """A line of the table: one contender in one measurement; times in seconds."""

    measure: str
    contender: str
    note: str = ""
    seconds: list[float] = dataclasses.field(default_factory=list, repr=False)
    median: float | None = None
    least: float | None = None
    quartiles: tuple[float, float] | None = None
    ratio: float | None = None  # to the first contender, median over rounds
    params: int | None = None
    macs: int | None = None
    memory_mb: float | None = None  # peak beyond what there was before building
    memory_before_mb: float | None = None
    graph_operations: int | None = None
    exponent: float | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def summarize(self, seconds: list[float], first: list[float]) -> None:
        """Fills in what follows from one time a round, its own and the first contender's."""
        self.seconds = seconds
        self.median, self.least = statistics.median(seconds), min(seconds)
        cuts = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else seconds
        self.quartiles = (cuts[0], cuts[-1])
        self.ratio = statistics.median(a / b for a, b in zip(seconds, first, strict=True))


class Worker:
    """A process with one contender in it, which runs when told to."""

    def __init__(self, contender: Contender, options: argparse.Namespace):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "speed_contenders", json.dumps(vars(contender))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL,
            text=True,
            env=environment(contender.backend),
            start_new_session=True,  # a group of its own, with the compilers it starts
        )
        self.late = ""
        self.timer = threading.Timer(options.limit, self._give_up, (options.limit,))
        self.timer.start()

    def _give_up(self, limit: float) -> None:
        self.late = f"not ready after {limit:.0f} s"
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def ready(self) -> dict[str, Any]:
        """Waits until it is built and has run once; returns what it is."""
        try:
            return self.read()
        finally:
            self.timer.cancel()

    def read(self) -> dict[str, Any]:
        """Returns the next answer, or raises `Failed` with the reason there is none."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(self.late or f"its process ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def run(self) -> float:
        with contextlib.suppress(BrokenPipeError):  # read() says why
            print("run", file=self.process.stdin, flush=True)
        return self.read()["seconds"]

    def end(self) -> dict[str, Any]:
        self.process.stdin.close()
        return self.read()

    def close(self) -> None:
        self.timer.cancel()
        self._kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def environment(backend: str) -> dict[str, str]:
    """Variables of a contender's process: its backend, and no more GPU memory than it needs."""
    path = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def take_turns(
    measure: str, contenders: dict[str, Contender], options: argparse.Namespace
) -> list[Row]:
    """Times contenders, each in a process, in turns.

    Args:
        measure: what is measured, for the table.
        contenders: name -> contender; times are compared with the first one's.
        options: of the command line.
    """
    rows = {name: Row(measure, name) for name in contenders}
    workers = {name: Worker(c, options) for name, c in contenders.items()}
    runs = {}
    try:
        # They are built beside each other, each with a thread that waits for it.
        with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
            ready = {name: pool.submit(worker.ready) for name, worker in workers.items()}
        for name, future in ready.items():
            try:
                answer = future.result()
            except Failed as reason:
                rows[name].note = f"not measured: {reason}"
                continue
            for field in ("params", "macs", "versions"):
                setattr(rows[name], field, answer[field])
            rows[name].note = "on the GPU" if answer["on_gpu"] else ""
            runs[name] = workers[name].run
        for name in run_rounds(rows, runs, options):
            for field, value in workers[name].end().items():
                setattr(rows[name], field, value)
    finally:  # leaves no process behind, interrupted or not
        for worker in workers.values():
            worker.close()
    return list(rows.values())


def run_rounds(
    rows: dict[str, Row],
    runs: dict[str, Callable[[], float]],
    options: argparse.Namespace,
    warm_up: int = 2,
) -> list[str]:
    """Runs each once a round, a round beginning with another one each time, and fills in the rows.

    There are `--repeats` rounds, fewer where `--seconds` are over, but at least 3.

    Returns:
        The names of those that ran to the end; the rows of the others say why they did not.
    """
    seconds = {name: [] for name in runs}
    start = time.monotonic()
    for number in range(-warm_up, options.repeats):
        if number == 0:
            start = time.monotonic()
        if number >= 3 and time.monotonic() - start > options.seconds:
            break
        names = list(seconds)
        shift = number % max(1, len(names))
        for name in names[shift:] + names[:shift]:
            try:
                taken = runs[name]()
            except Failed as reason:
                rows[name].note = f"not measured: {reason}"
                del seconds[name]
                continue
            if number >= 0:
                seconds[name].append(taken)
    for name, times in seconds.items():
        rows[name].summarize(times, next(iter(seconds.values())))
    return list(seconds)


# Column -> its width and how a row's figure is written there.
COLUMNS = {
    "median": (8, lambda row: _figure(row.median, ".3f")),
    "least": (8, lambda row: _figure(row.least, ".3f")),
    "quartiles": (15, lambda row: "-".join(_figure(q, ".3f") for q in row.quartiles or ())),
    "ratio": (6, lambda row: _figure(row.ratio, ".2f")),
    "params": (10, lambda row: _figure(row.params, ",")),
    "GMACs": (6, lambda row: _figure(row.macs and row.macs / 1e9, ".2f")),
    "MB": (6, lambda row: _figure(row.memory_mb, ",.0f")),
    "graph": (7, lambda row: _figure(row.graph_operations, ",")),
}


def header() -> str:
    return "  ".join([" " * 36, *(name.rjust(width) for name, (width, _) in COLUMNS.items())])


def table(rows: Sequence[Row]) -> str:
    """Lines of a table, grouped by what was measured; `header()` goes above the first."""
    lines, measure = [], None
    for row in rows:
        if row.measure != measure:
            measure = row.measure
            lines.append(measure)
        figures = [written(row).rjust(width) for width, written in COLUMNS.values()]
        lines.append("  ".join([f"  {row.contender:34}", *figures, row.note]).rstrip())
    return "\n".join(lines)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
