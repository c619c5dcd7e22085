"""Whether the released variant computes what the authors' own network computes, at full size.

    python benchmarks/released_parity.py --authors Squeeze-and-Recursion-Temporal-Gates

Needs PyTorch and TensorFlow. For MTNetS, M and L, with random weights and random statistics: the
largest difference of the logits, and of the gradient of the loss with respect to the clip, each
over the largest value. Both networks run in single and in double precision. In single precision
rounding switches some of the many ReLUs near zero, and the gradient then jumps: the last columns
show by how much PyTorch differs from itself.

`--fresh` goes the way of a user: it saves a checkpoint as the authors' training does, converts it
with `keras-mtnet convert-weights`, and loads it by `weights="hacs"` in a new process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import keras_mtnet  # noqa: F401  before TensorFlow

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests" / "vectors"))

from keras_mtnet.clip_spec import MTNET_MEAN, MTNET_STD
from keras_mtnet.layers.window_pooling import AveragePool
from keras_mtnet.models import build
from keras_mtnet.weights.torch import from_state_dict

import authors
import keras
import tensorflow as tf
import torch

CLIPS = {"16x112x112": (16, 112, 112), "16x111x97": (16, 111, 97)}
LABEL = 7
COLUMNS = ("logits", "gradient", "logits, double", "gradient, double", "PyTorch", "PyTorch's")

FRESH = """
import sys
import numpy as np
import keras_mtnet as mt
model = getattr(mt, sys.argv[1])(weights="hacs", classifier_activation=None)
np.save(sys.argv[3], model(np.load(sys.argv[2])))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--authors", required=True, help="checkout of the authors' repository")
    parser.add_argument("--models", default="S,M,L")
    parser.add_argument("--fresh", action="store_true", help="by a file and in a new process")
    parser.add_argument("--json", help="file to write the numbers to")
    flags = parser.parse_args()
    module = authors.load(Path(flags.authors) / "network" / "MTnet.py")
    columns, compare = (("logits",), by_file) if flags.fresh else (COLUMNS, in_memory)
    print("  ".join(["model ", "clip      ", *(f"{name:>16}" for name in columns)]), flush=True)
    rows = []
    for letter in flags.models.split(","):
        for row in compare(module, letter):
            rows.append(row)
            figures = (f"{row[name]:16.1e}" for name in columns)
            print("  ".join([row["model"], f"{row['clip']:10}", *figures]), flush=True)
    if flags.json:
        Path(flags.json).write_text(json.dumps(rows, indent=2) + "\n")


def in_memory(module: Any, letter: str) -> Iterator[dict[str, Any]]:
    net = authors.randomize(getattr(module, f"MTNet_{letter.lower()}")(num_classes=200), seed=1)
    state = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    for name, shape in CLIPS.items():
        x = authors.clip(3, 1, *shape)
        ours, ours64 = (run(f"MTNet{letter}", state, x, d) for d in ("float32", "float64"))
        theirs = authors.run(net.float(), x, [LABEL])
        theirs64 = authors.run(net.double(), x, [LABEL])
        pairs = ((ours, theirs), (ours64, theirs64), (theirs, theirs64))
        figures = [difference(a[i], b[i]) for a, b in pairs for i in (0, 1)]
        row = dict(zip(COLUMNS, figures, strict=True))
        yield {"model": f"MTNet{letter}", "clip": name, **row}


def by_file(module: Any, letter: str) -> Iterator[dict[str, Any]]:
    net = authors.randomize(getattr(module, f"MTNet_{letter.lower()}")(num_classes=200), seed=1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, clip, logits = (f"{folder}/{name}" for name in ("a.pth", "x.npy", "y.npy"))
        state = {f"module.{key}": value for key, value in net.state_dict().items()}
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1).state_dict()
        torch.save({"epoch": 1, "state_dict": state, "optimizer": optimizer}, checkpoint)
        environment = {**os.environ, "KERAS_MTNET_HOME": f"{folder}/home"}
        convert = ("-m", "keras_mtnet.cli", "convert-weights", checkpoint)
        convert += ("--model", f"MTNet{letter}")
        subprocess.run([sys.executable, *convert], env=environment, check=True)
        for name, shape in CLIPS.items():
            x = authors.clip(3, 1, *shape)
            np.save(clip, (255 * (x * MTNET_STD + MTNET_MEAN))[..., ::-1])  # RGB to normalize
            load = (sys.executable, "-c", FRESH, f"MTNet{letter}", clip, logits)
            subprocess.run(load, env=environment, check=True)
            theirs, _ = authors.run(net, x, [LABEL])
            row = {"model": f"MTNet{letter}", "clip": name}
            yield {**row, "logits": difference(np.load(logits), theirs)}


def run(model: str, state: Any, x: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and gradient of the released variant, as `authors.run` gives them."""
    network = build(
        model,
        variant="released",
        input_shape=x.shape[1:],
        classifier_activation=None,
        include_preprocessing=False,
        dtype=dtype,
    )
    from_state_dict(network, state, network.torch_keys["authors"])
    clip, label = tf.constant(x.astype(dtype)), tf.constant([LABEL])
    pool = pool_in_double if dtype == "float64" else AveragePool.call
    with mock.patch.object(AveragePool, "call", pool), tf.GradientTape() as tape:
        tape.watch(clip)
        logits = network(clip)
        loss = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
    return logits.numpy(), tape.gradient(loss, clip).numpy()


def pool_in_double(self: AveragePool, x: Any, training: bool = False) -> Any:
    """Average pooling 2x2 without the cast to float32, for which TensorFlow has no operation."""
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    rows = x[:, :, ::2] + x[:, :, 1::2]
    return (rows[:, :, :, ::2] + rows[:, :, :, 1::2]) / 4


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


if __name__ == "__main__":
    main()
