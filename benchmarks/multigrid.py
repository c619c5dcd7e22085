"""Multigrid against the plain schedule: wall time and test accuracy for the same epochs.

    taskset -c 0 python benchmarks/multigrid.py --epochs 56 --seeds 3 --json multigrid.json

Both train the demo's network on the demo's drawn videos, packed, in turns, each run in a process of
its own, at the paper's rate for a batch (0.1 for 64 clips, times 1.6). The time is that of the
whole run: start, tracing of every shape, training, tests; beside it that of the processor, which
other work on the machine disturbs less. On one core nothing of a run waits for anything else.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_mtnet.data import draw_dataset, pack
from keras_mtnet.data.geometry import SCALE
from keras_mtnet.training import RECIPES

import numpy as np

TRAIN = """
import sys
import keras_mtnet as mt
recipe = mt.training.RECIPES["demo"].replace(
    root=sys.argv[1], output=sys.argv[2], seed=int(sys.argv[3]), epochs=int(sys.argv[4]),
    learning_rate=0.02, multigrid=sys.argv[5] == "multigrid")
mt.training.train(recipe)
"""
TEST = """
import sys
import keras_mtnet as mt
model, _ = mt.training.load_run(sys.argv[2])
videos = mt.data.read_split("folder", sys.argv[1], subset="test")
result = mt.evaluate_views(model, videos, num_clips=4, num_crops=1, verbose=False)
print(result.top1)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=56)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        videos = str(Path(folder) / "videos")
        draw_dataset(str(Path(folder) / "drawn"), 12, 4, 3, seed=0)
        side = round(SCALE * RECIPES["demo"].size)
        pack("folder", str(Path(folder) / "drawn"), videos, short_side=side)
        for seed in range(arguments.seeds):
            for schedule in ("plain", "multigrid"):
                run = str(Path(folder) / f"{schedule}{seed}")
                begin, used = time.perf_counter(), processor_seconds()
                call(TRAIN, videos, run, seed, arguments.epochs, schedule)
                times = {
                    "seconds": time.perf_counter() - begin,
                    "processor": processor_seconds() - used,
                }
                top1 = float(call(TEST, videos, run).split()[-1])
                rows.append({"seed": seed, "schedule": schedule, **times, "top1": top1})
                print(
                    f"seed {seed}  {schedule:9}  {times['seconds']:6.0f} s, of the processor "
                    f"{times['processor']:6.0f} s  top-1 {top1:.4f}",
                    flush=True,
                )
                result = {"epochs": arguments.epochs, "rows": rows, **summary(rows)}
                if arguments.json:
                    Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(summary(rows), indent=2))


def call(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(rows: list[dict]) -> dict:
    """Mean accuracy of each schedule, and the ratio of times: the median over seeds."""
    by = {(row["schedule"], row["seed"]): row for row in rows}
    pairs = [(by["plain", s], by["multigrid", s]) for _, s in by if ("multigrid", s) in by]
    if not pairs:
        return {}
    return {
        **{
            f"{time}_ratio": float(np.median([m[time] / p[time] for p, m in pairs]))
            for time in ("seconds", "processor")
        },
        "top1_plain": float(np.mean([p["top1"] for p, _ in pairs])),
        "top1_multigrid": float(np.mean([m["top1"] for _, m in pairs])),
    }


if __name__ == "__main__":
    main()
