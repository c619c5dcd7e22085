"""Times networks of the zoo beside the PyTorch code that they equal, in turns, on the same clip.

    python benchmarks/zoo_speed.py --references FOLDER --torch_python PYTHON X3DM R3D18

PYTHON has torch, torchvision, pytorchvideo and this package's requirements without TensorFlow;
FOLDER is that of zoo_parity.py, and needs nothing for networks of torchvision and pytorchvideo.
Ours run on TensorFlow, as `predict_video` runs them; theirs in `torch.no_grad`. A ratio is the
median over rounds of their time to ours: above 1, ours is faster.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_contenders import cores
from speed_contenders.turns import Row, run_rounds

import numpy as np

# What torchvision and pytorchvideo have.
NETWORKS = (
    *("X3DXS", "X3DS", "X3DM", "X3DL", "X3DXL", "SlowOnly50", "SlowFast50", "SlowFast101"),
    *("R2Plus1D50", "IRCSN101", "R3D18", "MC3_18", "R2Plus1D18", "S3D"),
)
SIDES = ("ours", "theirs")


# --- The process of a network -------------------------------------------------------------------


def serve(side: str, name: str, references: Path) -> None:
    """Runs a network once for every line it reads, and answers with the seconds that took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    run = (ours if side == "ours" else theirs)(name, references)
    run()
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - start), file=answers, flush=True)


def clip_of(name: str) -> np.ndarray:
    from keras_mtnet.models.builder import default_clip

    frames, size = default_clip(name.split(",")[0])
    return np.random.default_rng(0).integers(0, 256, (1, frames, size, size, 3), "uint8")


def ours(name: str, _: Path) -> Callable[[], Any]:
    clip = clip_of(name)  # imports keras_mtnet, which sets TensorFlow up
    import keras_mtnet as mt

    import tensorflow as tf

    network = getattr(mt, name)(classes=400, input_shape=clip.shape[1:])
    scores = tf.function(lambda x: network(x, training=False))
    x = tf.constant(clip)
    return lambda: scores(x).numpy()


def theirs(name: str, references: Path) -> Callable[[], Any]:
    import zoo_parity

    import torch

    torch.set_num_threads(cores())
    zoo_parity.REFERENCES = references
    network = zoo_parity.ZOO[name]().eval()
    x = torch.from_numpy(clip_of(name)).float().permute(0, 4, 1, 2, 3).contiguous() / 255

    def run() -> Any:
        with torch.no_grad():
            return network(x).numpy()

    return run


# --- Turns --------------------------------------------------------------------------------------


class Worker:
    """A process with one network in it."""

    def __init__(self, side: str, name: str, arguments: argparse.Namespace):
        python = sys.executable if side == "ours" else arguments.torch_python
        serve = ["--serve", side, "--references", arguments.references, name]
        backend = "tensorflow" if side == "ours" else "torch"
        self.process = subprocess.Popen(
            [python, __file__, *map(str, serve)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if arguments.verbose else subprocess.DEVNULL,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )

    def read(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process ended; --verbose shows why")
        return json.loads(line)

    def run(self) -> float:
        print("run", file=self.process.stdin, flush=True)
        return self.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def compare(name: str, arguments: argparse.Namespace) -> str:
    """A line of the table."""
    workers = {side: Worker(side, name, arguments) for side in SIDES}
    rows = {side: Row(name, side) for side in SIDES}
    try:
        for worker in workers.values():
            worker.read()
        run_rounds(rows, {side: worker.run for side, worker in workers.items()}, arguments)
    finally:
        for worker in workers.values():
            worker.close()
    one, other = rows["ours"], rows["theirs"]
    frames, size = clip_of(name).shape[1:3]
    times = f"{1000 * one.median:,.0f} | {1000 * other.median:,.0f}"
    return f"| `{name}` | {frames} x {size} x {size} | {times} | {other.ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--references", type=Path, default=Path(), metavar="FOLDER")
    parser.add_argument("--torch_python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=15, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60, help="most of a network (default: %(default)s)"
    )
    parser.add_argument("--verbose", action="store_true", help="show what processes write")
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.networks[0], arguments.references.resolve())
        return
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f} before\n")
    print("| network | clip | ours, ms | PyTorch, ms | ratio |\n|---|---|---|---|---|")
    for name in arguments.networks:
        print(compare(name, arguments), flush=True)


if __name__ == "__main__":
    main()
