"""Draws docs/demo.gif from a run of the demo.

    python examples/demo.py --output runs/demo
    python docs/draw_demo.py --demo runs/demo

Four test videos that training has not seen: each plays one clip, the frames that the network's
first frame selection keeps are framed and marked below it, and the bars are its best classes.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import keras_mtnet as mt
from keras_mtnet import plots

DOCS = Path(__file__).resolve().parent

INK, QUIET, KEPT, BAR = "#22272e", "#8b949e", "#d1495b", "#9db4d0"
CLASSES = ("Spin", "DriftFast", "Fall", "SwaySlow")


class Card:
    """One video in a row of a figure: it plays on the left, its scores stand on the right."""

    def __init__(self, figure, x: float, y: float, clip, kept, best, name: str):
        self.clip, self.kept = clip, set(kept)
        axes = figure.add_axes((x, y + 0.07, 0.17, 0.34))
        self.picture = axes.imshow(clip[0], interpolation="bilinear")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, loc="left", fontsize=9, color=INK, fontweight="bold")
        self.spines = axes.spines
        ticks = figure.add_axes((x, y + 0.03, 0.17, 0.03))
        colors = [KEPT if i in self.kept else "#d8dde3" for i in range(len(clip))]
        self.ticks = ticks.bar(range(len(clip)), 1, width=0.8, color=colors)
        ticks.set(xlim=(-0.5, len(clip) - 0.5), ylim=(0, 1))
        ticks.axis("off")
        scores = figure.add_axes((x + 0.275, y + 0.1, 0.19, 0.28))
        names, values = zip(*best, strict=True)
        scores.barh(range(len(best)), values, color=[KEPT] + [BAR] * (len(best) - 1), height=0.6)
        for row, value in enumerate(values):
            scores.text(value + 0.03, row, f"{value:.1%}", va="center", fontsize=8, color=INK)
        scores.set_yticks(range(len(best)), names, fontsize=8.5, color=INK)
        scores.set(xlim=(0, 1.3), xticks=[])
        scores.tick_params(length=0)
        scores.spines[:].set_visible(False)
        scores.invert_yaxis()

    def show(self, frame: int) -> None:
        self.picture.set_data(self.clip[frame])
        kept = frame in self.kept
        self.spines[:].set(color=KEPT if kept else "white", linewidth=3)
        for i, tick in enumerate(self.ticks):
            tick.set_height(1 if i == frame else 0.5)


def draw(cards_of, path: Path, milliseconds: int = 110) -> None:
    """Writes a GIF: `cards_of(figure)` puts the cards into a figure; each plays its clip."""
    figure = Figure(figsize=(8, 3.5), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    cards = cards_of(figure)
    caption = "red: frames that the frame selection keeps"
    figure.text(0.5, 0.015, caption, ha="center", fontsize=8, color=QUIET)
    frames = []
    for frame in range(len(cards[0].clip)):
        for card in cards:
            card.show(frame)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    plots.animation(np.stack(frames), path, milliseconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", default="runs/demo", type=Path, help="output of the demo")
    parser.add_argument("--output", default=DOCS / "demo.gif", type=Path)
    arguments = parser.parse_args()
    model = mt.load_model(arguments.demo / "run" / "model.keras")
    spec = model.clip_spec
    videos = mt.data.read_split("folder", arguments.demo / "videos", subset="test")

    def cards_of(figure):
        cards = []
        for i, name in enumerate(CLASSES):
            examples = [each for each in videos if each.name.startswith(name + "/")]
            video = examples[4 * i % len(examples)]  # of different groups, that is looks
            clip = mt.data.read_clip(video.path, spec.frames, spec.stride, spec.size)
            best = mt.predict_video(model, video.path, top=3, num_clips=4, num_crops=1)
            x, y = 0.02 + 0.5 * (i % 2), 0.51 - 0.47 * (i // 2)
            kept = mt.explain.kept_frames(model, clip)[0].frames
            cards.append(Card(figure, x, y, clip, kept, best, name))
        return cards

    draw(cards_of, arguments.output)
    print(f"Wrote {arguments.output}")


if __name__ == "__main__":
    main()
