"""The example chooses, trains and tests on drawn videos, with a narrow network."""

import subprocess
import sys
from pathlib import Path

import keras_mtnet as mt

EXAMPLE = Path(__file__).parents[2] / "examples" / "finetune_jhmdb.py"
# The example with one narrow block in the place of I3D, and random weights.
NARROW = """
import runpy, sys
import keras_mtnet as mt
mt.I3D = lambda **options: mt.MTNet((8,), (1,), ratio=1, **options)
mt.weights.load_weights = lambda model, preset: print("weights of", preset.model)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_frozen_then_all_layers(tmp_path):
    root, output = tmp_path / "videos", tmp_path / "out"
    mt.data.draw_dataset(root, groups=3, clips_per_group=1, test_groups=1, frames=8, size=(48, 32))
    classes = sorted(path.name for path in root.iterdir() if path.is_dir())[:3]
    (root / "classInd.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(classes, 1)))
    files = [sorted((root / name).iterdir()) for name in classes]
    for subset, own in {"train": slice(0, -1), "test": slice(-1, None)}.items():
        names = [f"{file.parent.name}/{file.name}" for group in files for file in group[own]]
        lines = [f"{name} {classes.index(name.split('/')[0]) + 1}\n" for name in names]
        (root / f"{subset}list01.txt").write_text("".join(lines))
    settings = (
        f"--root {root} --output {output} --folds 1 --frames 4 --size 32 --views 2 --epochs 1"
    )
    settings += " --num_clips 1 --num_crops 1 --precision float32 --batch_size 4"
    command = [sys.executable, "-c", NARROW, str(EXAMPLE), *settings.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = [
        line for line in done.stdout.splitlines() if line.startswith(("weights", "fold", "mean"))
    ]
    assert told[0] == "weights of I3D"
    assert told[1].startswith("fold 1, frozen features, label smoothing 0.")
    assert told[2].startswith("fold 1, after 1 epochs of fine-tuning: ")
    assert told[3].startswith("mean top-1 of 1 folds: ")
    assert (output / "fold1" / "model.keras").is_file()
