"""Draws the pictures of docs/explain.md from a run of the demo.

    python examples/demo.py --output runs/demo
    python docs/draw_explain.py --demo runs/demo

One test video that training has not seen, of a class that the network gets right.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

import keras_mtnet as mt

DOCS = Path(__file__).resolve().parent
PICTURES = ("saliency", "kept_frames", "branches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", default="runs/demo", type=Path, help="output of the demo")
    parser.add_argument("--label", default="Fall", help="class of the video")
    arguments = parser.parse_args()
    model = mt.load_model(arguments.demo / "run" / "model.keras")
    videos = mt.data.read_split("folder", arguments.demo / "videos", subset="test")
    label = videos.class_names.index(arguments.label)
    for video in (each for each in videos if each.label == label):
        found = mt.explain.explain_video(model, video.path)
        if found.label == arguments.label:
            break
    else:
        parser.error(f"no test video of {arguments.label} is named right")
    with tempfile.TemporaryDirectory() as folder:
        seen = found.write(Path(folder) / "seen")
        for name in PICTURES:
            picture = Image.open(seen / f"{name}.png").convert("RGB")
            picture.thumbnail((1200, 1200))
            path = DOCS / f"explain_{name}.png"
            picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"Wrote {path}: {video.name}")
    print(mt.explain.branches.table(found.energies))


if __name__ == "__main__":
    main()
