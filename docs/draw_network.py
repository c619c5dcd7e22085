"""Draws docs/network.png: `python docs/draw_network.py`."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_mtnet.models.mtnet import FILTERS, SIZES

INK, PALE = "#22313f", "#5d6d7e"
LOCAL, PROLONGED, GATE, PLAIN = "#cfe3f7", "#fbdcc4", "#dcefd2", "#eceff1"


def box(axes, x, y, width, height, text, color=PLAIN, size=8.5):
    """A rounded box centered on (x, y)."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=color,
            edgecolor=INK,
            linewidth=0.9,
        )
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=INK, linespacing=1.35)


def arrow(axes, *points):
    """A line through the points with a head at the last."""
    axes.plot(*zip(*points[:-1], strict=True), color=INK, linewidth=1.1, solid_joinstyle="round")
    axes.add_patch(
        FancyArrowPatch(
            points[-2], points[-1], arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=1.1,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def draw_network(axes):
    size = SIZES["MTNetM"]
    t, s = size.clip
    axes.set_title("MTNet-M", loc="left", fontsize=11, color=INK, fontweight="bold")
    rows = [
        (f"clip\n{t} frames\n{s} x {s} x 3", PLAIN),
        ("stem\n1x3x3, 5x1x1\nframe selection", PLAIN),
    ]
    shapes = [f"{t // 2} x {s // 2}² x 24"]
    for i, (filters, depth) in enumerate(zip(FILTERS, size.depths, strict=True), 1):
        rows.append((f"stage {i}\n{depth} MTBlocks", LOCAL))
        shapes.append(f"{t // 2 ** max(1, i)} x {s // 2 ** (i + 1)}² x {filters}")
    rows.append(("head\n1x1x1, mean\ndense, softmax", PLAIN))
    shapes.append("classes")
    for i, (text, color) in enumerate(rows):
        x = 1.1 + 2.15 * i
        box(axes, x, 1.0, 1.55, 1.1, text, color)
        if i:
            arrow(axes, (x - 2.15 + 0.775, 1.0), (x - 0.775, 1.0))
            axes.text(x, 0.12, shapes[i - 1], ha="center", fontsize=8, color=PALE)
    axes.set_xlim(0, 15.2)
    axes.set_ylim(-0.2, 1.9)


def draw_block(axes):
    axes.set_title("MTBlock", loc="left", fontsize=11, color=INK, fontweight="bold")
    texts = [
        ("MTConv 1x1x1\nwide", LOCAL),
        ("MTConv 1x1x1\nnarrow", LOCAL),
        ("MTConv 3x3x3\nwide, strides", LOCAL),
        ("MTConv 1x1x1\nno activation", LOCAL),
        ("squeeze and\nrecursion", GATE),
    ]
    y = 1.0
    for i, (text, color) in enumerate(texts):
        x = 2.0 + 2.35 * i
        box(axes, x, y, 1.75, 0.85, text, color)
        arrow(axes, (x - (1.3 if i == 0 else 2.35 - 0.875), y), (x - 0.875, y))
    end = 2.0 + 2.35 * 4
    arrow(axes, (end + 0.875, y), (end + 1.55, y))
    box(axes, end + 1.75, y, 0.4, 0.4, "+", "white", 11)
    arrow(axes, (end + 1.95, y), (end + 2.75, y))
    axes.text(end + 2.3, y + 0.12, "ReLU", ha="center", fontsize=8, color=PALE)
    arrow(axes, (0.85, y), (0.85, 0.15), (end + 1.75, 0.15), (end + 1.75, y - 0.2))
    axes.text(6.5, 0.22, "identity, or 1x1x1 convolution", ha="center", fontsize=8, color=PALE)
    axes.set_xlim(0, 15.2)
    axes.set_ylim(-0.1, 1.7)


def draw_conv(axes):
    axes.set_title("MTConv", loc="left", fontsize=11, color=INK, fontweight="bold")
    local, prolonged = 2.6, 0.7
    box(axes, 1.2, 1.65, 1.3, 0.6, "split channels")
    arrow(axes, (1.2, 1.95), (1.2, local), (5.6, local))
    axes.text(1.35, local + 0.1, "7/8", fontsize=8, color=PALE)
    box(axes, 6.6, local, 2.0, 0.62, "convolution, BN, ReLU", LOCAL)
    arrow(axes, (1.2, 1.35), (1.2, prolonged), (1.95, prolonged))
    axes.text(1.3, prolonged - 0.25, "1/8", fontsize=8, color=PALE)
    box(axes, 3.2, prolonged, 2.5, 0.75, "SoftPool 2x2,\ntriplet cosine selection", PROLONGED)
    arrow(axes, (4.45, prolonged), (5.6, prolonged))
    box(axes, 6.6, prolonged, 2.0, 0.62, "convolution, BN", PROLONGED)
    arrow(axes, (7.6, prolonged), (9.1, prolonged))
    box(axes, 9.3, prolonged, 0.4, 0.4, "+", "white", 11)
    arrow(axes, (8.2, local), (8.2, 1.98))
    box(axes, 8.2, 1.65, 2.5, 0.66, "SoftPool, selection,\n1x1x1 convolution, BN", PROLONGED)
    arrow(axes, (8.2, 1.32), (9.3, prolonged + 0.2))
    arrow(axes, (9.5, prolonged), (10.1, prolonged))
    box(axes, 11.1, prolonged, 2.0, 0.62, "interpolate, ReLU", PROLONGED)
    arrow(axes, (7.6, local), (13.2, local), (13.2, 1.95))
    arrow(axes, (12.1, prolonged), (13.2, prolonged), (13.2, 1.35))
    box(axes, 13.2, 1.65, 1.5, 0.6, "join channels")
    arrow(axes, (13.95, 1.65), (14.8, 1.65))
    arrow(axes, (0.0, 1.65), (0.55, 1.65))
    axes.set_xlim(0, 15.2)
    axes.set_ylim(0.2, 3.05)


def main():
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    for axes, draw in zip(
        figure.subplots(3, 1, height_ratios=(2.1, 1.8, 2.85)),
        (draw_network, draw_block, draw_conv),
        strict=True,
    ):
        draw(axes)
        axes.axis("off")
    figure.savefig(Path(__file__).with_name("network.png"), dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
