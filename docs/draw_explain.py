"""Draws the pictures of docs/explain.md from a run of the demo.

    python examples/demo.py --output runs/demo
    python docs/draw_explain.py --demo runs/demo

One test video that training has not seen.
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
    help = "test video, by its name"
    parser.add_argument("--video", default="Spin/v_Spin_g11_c02.mp4", help=help)
    arguments = parser.parse_args()
    model = mt.load_model(arguments.demo / "run" / "model.keras")
    found = mt.explain.explain_video(model, arguments.demo / "videos" / arguments.video)
    with tempfile.TemporaryDirectory() as folder:
        seen = found.write(Path(folder) / "seen")
        for name in PICTURES:
            picture = Image.open(seen / f"{name}.png").convert("RGB")
            picture.thumbnail((1000, 1000))
            path = DOCS / f"explain_{name}.png"
            picture.save(path, optimize=True)
            print(f"Wrote {path}")
    print(mt.explain.branches.table(found.energies))


if __name__ == "__main__":
    main()
