"""Short real video files of drawn motion, to try everything without downloading a data set.

Eight classes that differ in nothing but how things move. All shapes of a video move alike, over a
still background, on a torus: what leaves on one side comes back on the other. Positions, angles
and phases are uniform at the start of a clip and so in each of its frames, which is why a single
frame says nothing about the class. Each class is its own mirror image: training flips clips.
Appearance belongs to the group (`g01`, `g02`, ...: think of the person filmed), and every group
shows all classes.
"""

import os
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

from keras_mtnet.checks import check_counts

# Motion by class: time in frames `t` (T,), frame height `h` in pixels, generator -> dx, dy, angle,
# pixels and radians, each (T,). Sideways motion and turning take either direction by chance.
_Motion = Callable[[np.ndarray, float, np.random.Generator], tuple]


def _steady(dx: float = 0, dy: float = 0, turn: float = 0) -> _Motion:
    """Travel by a share of the frame height, or turning on the spot by radians, per frame."""

    def motion(t, h, rng):
        speed = rng.uniform(0.85, 1.15) * rng.choice([1] if dy else [-1, 1])
        return h * speed * dx * t, h * speed * dy * t, speed * turn * t

    return motion


def _swing(period: float, dx: float = 0, turn: float = 0) -> _Motion:
    """The same, to and fro in `period` frames."""

    def motion(t, h, rng):
        phase = 2 * np.pi * (t / (period * rng.uniform(0.85, 1.15)) + rng.random())
        return dx * h * np.sin(phase), 0 * t, turn * np.sin(phase)

    return motion


MOTIONS: dict[str, _Motion] = {
    "DriftFast": _steady(dx=0.036),
    "DriftSlow": _steady(dx=0.009),
    "Fall": _steady(dy=0.018),
    "Rise": _steady(dy=-0.018),
    "Rock": _swing(14, turn=0.9),
    "Spin": _steady(turn=0.16),
    "SwayFast": _swing(10, dx=0.15),
    "SwaySlow": _swing(30, dx=0.15),
}


def draw_dataset(
    root: str | os.PathLike,
    groups: int = 12,
    clips_per_group: int = 4,
    test_groups: int | None = None,
    frames: int = 40,
    size: tuple[int, int] = (128, 96),
    fps: int = 25,
    seed: int = 0,
) -> None:
    """Draws a data set in the layout of UCF-101, half of it H.264 in mp4, half MPEG-4 in avi.

    Writes `<Class>/v_<Class>_g<group>_c<clip>.<mp4|avi>`, `classInd.txt`, `trainlist01.txt` and
    `testlist01.txt`. The last groups are the test groups. The same arguments give the same pixels.

    Args:
        root: folder to write to; made if needed.
        groups: how many groups, 2 to 99.
        clips_per_group: clips of each class in each group.
        test_groups: how many of the groups are for testing; a quarter when None.
        frames: about how many frames a clip has: from 0.9 to 1.1 times as many.
        size: width and height in pixels, even numbers.
        fps: frames per second.
        seed: decides everything that is drawn.

    Raises:
        ValueError: for a wrong argument.
        FileExistsError: if `root` holds anything.
    """
    root = os.fspath(root)
    counts = {"groups": groups, "clips_per_group": clips_per_group, "frames": frames, "fps": fps}
    check_counts(**counts)
    check_counts(lowest=0, seed=seed)
    test_groups = max(1, groups // 4) if test_groups is None else test_groups
    if not 0 < test_groups < groups < 100:
        raise ValueError(
            "draw_dataset needs 2 to 99 groups, some for training and some for testing. "
            f"Received: groups={groups}, test_groups={test_groups}"
        )
    if size[0] % 2 or size[1] % 2 or min(size) < 32:
        raise ValueError(f"size must be even numbers from 32 on. Received: {size}")
    if os.path.isdir(root) and os.listdir(root):
        raise FileExistsError(f"{root!r} is not empty: choose another folder")
    names: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for label, class_name in enumerate(MOTIONS):
        os.makedirs(os.path.join(root, class_name))
        for group in range(1, groups + 1):
            look = _Look(np.random.default_rng([seed, group]), *size)
            for clip in range(1, clips_per_group + 1):
                rng = np.random.default_rng([seed, group, clip, label])
                length = round(frames * rng.uniform(0.9, 1.1))
                pixels = look.draw(MOTIONS[class_name], length, rng)
                suffix = "mp4" if (group + clip) % 2 else "avi"
                name = f"{class_name}/v_{class_name}_g{group:02d}_c{clip:02d}.{suffix}"
                write_video(os.path.join(root, name), pixels, fps)
                names["test" if group > groups - test_groups else "train"].append((name, label))
    _write_lists(root, names)


def _write_lists(root: str, names: dict[str, list[tuple[str, int]]]) -> None:
    """The lists as UCF-101 has them: labels from 1, none in the test list."""
    lists = {
        "classInd.txt": [f"{label} {name}" for label, name in enumerate(MOTIONS, 1)],
        "trainlist01.txt": [f"{name} {label + 1}" for name, label in names["train"]],
        "testlist01.txt": [name for name, _ in names["test"]],
    }
    for name, lines in lists.items():
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


class _Look:
    """What the clips of one group look like: background, shapes, colors."""

    def __init__(self, rng: np.random.Generator, width: int, height: int):
        self.width, self.height = width, height
        self.background = _texture(rng, width, height)
        self.shapes = int(rng.integers(5, 9))
        # Half axes in pixels.
        self.length = (height * rng.uniform(0.11, 0.15, self.shapes)).astype("float32")
        self.breadth = self.length * np.float32(rng.uniform(0.4, 0.6))
        # Diamonds, ellipses or boxes: what |along|, |aside| amount to is 1 at the edge.
        self.distance = (np.add, np.hypot, np.maximum)[rng.integers(3)]
        # Two colors a shape, one for each end, so that a turn by half shows.
        light = rng.uniform(150, 255, (self.shapes, 3))
        dark = rng.uniform(0, 90, (self.shapes, 3))
        self.colors = np.stack([light, dark], axis=1).astype("float32")

    def draw(self, motion: _Motion, frames: int, rng: np.random.Generator) -> np.ndarray:
        """One clip, uint8 `(frames, height, width, 3)`."""
        video = np.repeat(self.background[None], frames, axis=0)
        dx, dy, turn = motion(np.arange(frames, dtype="float64"), self.height, rng)
        for shape in rng.permutation(self.shapes):
            x = rng.random() * self.width + dx
            y = rng.random() * self.height + dy
            self._add(video, shape, x, y, 2 * np.pi * rng.random() + turn)
        return np.round(video).astype("uint8")

    def _add(
        self, video: np.ndarray, shape: int, x: np.ndarray, y: np.ndarray, angle: np.ndarray
    ) -> None:
        """Draws one shape into all frames; `x`, `y`, `angle` (T,) are its place and direction."""
        length, breadth = self.length[shape], self.breadth[shape]
        reach = np.arange(-int(1.2 * length) - 2, int(1.2 * length) + 3, dtype="int32")
        column, row, cos, sin = (
            each.astype("float32")[:, None, None]
            for each in (np.floor(x) - x, np.floor(y) - y, np.cos(angle), np.sin(angle))
        )
        # (T, P, P) around the center, along the shape's own axes, in units of its half axes.
        across, down = column + reach, row + reach[:, None]
        along = (across * cos + down * sin) / length
        aside = (down * cos - across * sin) / breadth
        # Soft edges, about a pixel wide.
        inside = 1 - self.distance(np.abs(along), np.abs(aside))
        cover = np.minimum(inside * breadth + 0.5, 1)
        frame, i, j = np.nonzero(cover > 0)
        cover, along = cover[frame, i, j, None], along[frame, i, j, None]
        end = np.clip(along * length + 0.5, 0, 1)
        color = end * self.colors[shape, 0] + (1 - end) * self.colors[shape, 1]
        place = (
            frame,
            (np.floor(y).astype(int)[frame] + reach[i]) % self.height,
            (np.floor(x).astype(int)[frame] + reach[j]) % self.width,
        )
        video[place] += cover * (color - video[place])


def _texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A still background of soft waves, float32 `(height, width, 3)`, seamless at the edges."""
    x = 2 * np.pi * np.arange(width) / width
    y = 2 * np.pi * np.arange(height)[:, None] / height
    picture = np.zeros((height, width, 3)) + rng.uniform(70, 150, 3)
    for _ in range(6):
        across, down = rng.integers(-4, 5, 2)
        wave = np.sin(across * x + down * y + 2 * np.pi * rng.random())
        picture += wave[..., None] * rng.uniform(-14, 14, 3)
    return np.clip(picture, 0, 255).astype("float32")


def write_video(path: str, frames: np.ndarray, fps: int = 25) -> None:
    """Encodes frames, uint8 `(T, H, W, 3)`: MPEG-4 for avi, else H.264 where FFmpeg has it."""
    # Near lossless: what a codec drops where things move fast would show in a single frame.
    h264 = not path.endswith(".avi") and "libx264" in av.codecs_available
    # Without its tree of macroblocks: with it, x264's assembly (core 165) reads memory that nobody
    # wrote, and the same frames become other files from process to process.
    best = {"crf": "8", "preset": "veryfast", "x264-params": "mbtree=0"}
    codec, options = ("libx264", best) if h264 else ("mpeg4", {})
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # the same bytes whatever the machine
        if not h264:
            stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
