"""Fine-tuning from a checkpoint of one small set on another, against training from scratch.

    python benchmarks/finetune.py --source ut_interaction --target weizmann --json finetune.json

Both folders hold videos in UCF-101's layout with their lists. A small MTNet is trained on the
source once; then on the target from those weights and from scratch, in turns, with the same epochs
and each way's own rate. Tests are 10 x 3 views with the weights of the last epoch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

NETWORK = {
    "data": "ucf101",
    "model": "MTNet",
    "stage_filters": "24,48",
    "stage_depths": "1,1",
    "dropout_rate": "0.2",
    "stride": "2",
    "size": "64",
    "batch_size": "4",
}
SCRATCH = {"learning_rate": "0.03"}
TUNED = {"learning_rate": "0.03", "backbone_lr_multiplier": "0.3"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        train(arguments.source, source, arguments.epochs, 0, SCRATCH)
        print(f"source: top-1 {top1(source):.4f} on its own test videos", flush=True)
        for seed in range(arguments.seeds):
            for way, settings in (
                ("scratch", SCRATCH),
                ("fine-tuned", {**TUNED, "weights": str(source)}),
            ):
                run = Path(folder) / f"{way}{seed}"
                train(arguments.target, run, arguments.epochs, seed, settings)
                rows.append({"seed": seed, "way": way, "top1": top1(run)})
                print(f"seed {seed}  {way:10}  top-1 {rows[-1]['top1']:.4f}", flush=True)
                if arguments.json:
                    text = json.dumps({"epochs": arguments.epochs, "rows": rows}, indent=2)
                    Path(arguments.json).write_text(text + "\n")
    for way in ("scratch", "fine-tuned"):
        print(f"{way}: mean {np.mean([r['top1'] for r in rows if r['way'] == way]):.4f}")


def train(root: str, output: Path, epochs: int, seed: int, settings: dict[str, str]) -> None:
    settings = {**NETWORK, **settings, "epochs": str(epochs), "seed": str(seed)}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    call("train", f"--root={root}", f"--output={output}", *flags)


def top1(run: Path) -> float:
    return json.loads(call("evaluate", f"--run={run}", "--json"))["top1"]


def call(*arguments: str) -> str:
    command = [sys.executable, "-m", "keras_mtnet.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
