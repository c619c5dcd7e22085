"""Kills a run again and again, and compares what it comes to with an unbroken one.

    python benchmarks/resume.py --kills 10 --json resume.json

Both runs train the same small network on drawn videos with deterministic operations on the CPU,
with dropout and an average of the weights, and write a checkpoint after every step. One of them is
killed (SIGKILL) at random moments, every other time just while a checkpoint is being written, and
resumed. Weights, optimizer, random generators, metrics and history must then be equal, bit for bit.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_mtnet.data import draw_dataset

import numpy as np

SETTINGS = {
    "model": "MTNet",
    "stage_filters": "8",
    "stage_depths": "1",
    "frames": "4",
    "size": "16",
    "batch_size": "4",
    "epochs": "6",
    "learning_rate": "0.02",
    "augment": "paper",
    "ema_momentum": "0.9",
    "checkpoint_steps": "1",
}
MEASURED = ("clips_per_second", "input_wait")  # the only columns that may differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = study(Path(folder), arguments.kills, random.Random(arguments.seed))
    print(json.dumps(result, indent=2))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(bool(result["different"]))


def study(folder: Path, kills: int, chance: random.Random) -> dict:
    draw_dataset(str(folder / "videos"), 6, 4, 1, seed=0)
    whole, broken = folder / "whole", folder / "broken"
    start(folder, whole).wait()
    killed = []
    while len(killed) < kills:
        before = newest(broken)
        process = start(folder, broken)
        writing = len(killed) % 2 == 1
        goal = before + chance.randint(1, 20)
        wait_for(process, lambda goal=goal: newest(broken) >= goal)
        if writing:
            wait_for(process, lambda: any((broken / "checkpoints").glob(".*.npz")))
        else:
            time.sleep(chance.uniform(0, 0.1))
        if process.poll() is not None:
            raise SystemExit(f"The run ended before kill {len(killed) + 1}: use fewer kills.")
        process.kill()
        process.wait()
        killed.append({"step": newest(broken), "while_writing": writing})
        print(f"killed at step {newest(broken)}", flush=True)
    if start(folder, broken).wait():
        raise SystemExit(
            "The run could not be resumed: its message is hidden here; try it by hand."
        )
    return {"killed": killed, "steps": newest(whole), **compare(whole, broken)}


def start(folder: Path, output: Path) -> subprocess.Popen:
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    program = [sys.executable, "-m", "keras_mtnet.cli", "train", "--deterministic", "--resume"]
    command = [*program, f"--root={folder / 'videos'}", f"--output={output}", *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def newest(run: Path) -> int:
    """The step of the newest checkpoint, 0 without one."""
    names = [path.stem for path in (run / "checkpoints").glob("step-*.npz")]
    return max((int(name.split("-")[1]) for name in names), default=0)


def wait_for(process: subprocess.Popen, happened) -> None:
    while process.poll() is None and not happened():
        time.sleep(0.0005)


def compare(one: Path, other: Path) -> dict:
    """How many arrays there are, and the names of those that differ."""
    steps = newest(one), newest(other)
    files = [run / "checkpoints" / f"step-{steps[0]:09d}.npz" for run in (one, other)]
    with np.load(files[0]) as first, np.load(files[1]) as second:
        names = sorted(set(first.files) - {"state"})
        different = [n for n in names if first[n].tobytes() != second[n].tobytes()]
    rows = [history(run) for run in (one, other)]
    if rows[0] != rows[1] or len(set(steps)) > 1:
        different.append("history.csv")
    return {"arrays": len(names), "epochs": len(rows[0]), "different": different}


def history(run: Path) -> list[dict[str, str]]:
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key not in MEASURED} for row in rows]


if __name__ == "__main__":
    main()
