"""Everything that can be seen of a network's answer to one video, as arrays and as files."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtnet import plots
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.synthetic import write_video
from keras_mtnet.explain.branches import BranchEnergy, branch_energy
from keras_mtnet.explain.grad_cam import grad_cam, overlay
from keras_mtnet.explain.kept_frames import KeptFrames, kept_frames
from keras_mtnet.files import check_new_folder, write_beside, write_text
from keras_mtnet.inference.predict import predict_video
from keras_mtnet.inference.views import resolve_spec
from keras_mtnet.video.opening import open_video

_SHOWN = 224  # least height and width of the pictures, in pixels


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a network makes of the middle clip of a video.

    Attributes:
        name: of the video.
        best: pairs of class name and score in [0, 1], best first.
        label: the class that `saliency` is about.
        frames: RGB uint8 `(T, S, S, 3)`, at least 224 pixels high.
        saliency: float32 `(T, S, S)`, of `grad_cam`.
        kept: of `kept_frames`; empty for a network without frame selection.
        energies: of `branch_energy`; empty for a network without prolonged branches.
        fps: frames of the clip per second.
    """

    name: str
    best: list[tuple[str, float]]
    label: str
    frames: np.ndarray
    saliency: np.ndarray
    kept: list[KeptFrames]
    energies: list[BranchEnergy]
    fps: float

    @property
    def first_kept(self) -> tuple[int, ...]:
        """The frames that the first frame selection keeps; none where there is none."""
        return self.kept[0].frames if self.kept else ()

    def strip(self, path: str | os.PathLike) -> None:
        """Draws the clip side by side, with its saliency and marks at the kept frames."""
        title = f"{self.label}: {self.name}"
        plots.clip_strip(
            overlay(self.frames, self.saliency), self.first_kept, path, title, fade=False
        )

    def animation(self, path: str | os.PathLike) -> None:
        """Writes the clip under its saliency: as a GIF, or as a video by the path's ending."""
        shown = overlay(self.frames, self.saliency)
        if Path(path).suffix.lower() == ".gif":
            plots.animation(shown, path, 1000 / self.fps)
        else:
            with write_beside(path) as beside:
                write_video(str(beside), shown, max(1, round(self.fps)))

    def write(self, folder: str | os.PathLike) -> Path:
        """Writes all of it into a new folder.

        `saliency.png`, `.gif` and `.mp4`; `kept_frames.png` and `branches.png` where the network
        has such; `explanation.json` with all numbers.

        Raises:
            FileExistsError: if the folder holds something.
            ImportError: without matplotlib.
        """
        folder = check_new_folder(folder, "an explanation")
        if folder.exists():
            folder.rmdir()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with write_beside(folder) as beside:
            beside.mkdir()
            self.strip(beside / "saliency.png")
            self.animation(beside / "saliency.gif")
            self.animation(beside / "saliency.mp4")
            if self.kept:
                plots.kept_frames(self.kept, len(self.frames), beside / "kept_frames.png")
            if self.energies:
                plots.branch_energies(self.energies, beside / "branches.png")
            write_text(beside / "explanation.json", json.dumps(self.to_dict(), indent=2) + "\n")
        return folder

    def to_dict(self) -> dict[str, Any]:
        """All of it but the pixels as numbers, strings, lists and dicts, for JSON."""
        return {
            "video": self.name,
            "best": [{"label": name, "score": score} for name, score in self.best],
            "label": self.label,
            "saliency_per_frame": self.saliency.mean(axis=(1, 2)).tolist(),
            "kept_frames": [dataclasses.asdict(each) for each in self.kept],
            "branch_energy": [
                {**dataclasses.asdict(each), "prolonged_share": each.share}
                for each in self.energies
            ],
        }


def explain_video(
    model: keras.Model,
    source: Any,
    label: str | int | None = None,
    layer: str | None = None,
    top: int = 5,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fps: float | None = None,
    sampling: str | None = None,
    class_names: Sequence[str] | None = None,
    activation: str | None = None,
) -> Explanation:
    """Explains the answer of a network to the middle clip of a video.

    Args:
        model: a functional classifier, as for `predict_video`.
        source: as for `predict_video`.
        label: name or index of the class to explain; None for the one with the highest score.
        layer: as of `grad_cam`.
        top: how many classes to name.
        frames, stride, size, fps, sampling, class_names, activation: as for `predict_video`.

    Returns:
        An `Explanation`; its `write` makes a folder of pictures.

    Raises:
        VideoError: if the video cannot be read.
        ValueError: for a wrong argument, as of `predict_video`, and for an unknown label or layer.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> video = np.zeros((20, 48, 64, 3), "uint8")
    >>> names = ["jump", "run"]
    >>> found = mt.explain.explain_video(model, video, "run", stride=2, class_names=names)
    >>> found.label, found.frames.shape, len(found.first_kept)
    ('run', (4, 224, 224, 3), 2)
    """
    given: dict[str, Any] = {"frames": frames, "stride": stride, "size": size, "fps": fps}
    given |= {"sampling": sampling, "class_names": class_names}
    spec = resolve_spec(model, **given)
    number = _number(label, spec.class_names)
    best = predict_video(
        model, source, top, num_clips=1, num_crops=1, activation=activation, **given
    )
    clip = ClipReader(spec).views(source)[0]
    shown = ClipReader(dataclasses.replace(spec, size=_shown(spec.size))).views(source)[0]
    if number is None:
        number = _number(best[0][0], spec.class_names)
    with open_video(source, fps=spec.fps) as video:
        name, rate = video.name, (video.fps or 25.0) / (spec.stride or 1)
    return Explanation(
        name=os.path.basename(name),
        best=best,
        label=str(number) if spec.class_names is None else spec.class_names[number],
        frames=shown,
        saliency=_enlarge(grad_cam(model, clip, number, layer), shown.shape[1]),
        kept=kept_frames(model, clip),
        energies=branch_energy(model, clip),
        fps=min(rate, 25.0),
    )


def _number(label: Any, names: Sequence[str] | None) -> int | None:
    """The index of a class that is given by name or index."""
    if label is None or (isinstance(label, int) and (names is None or 0 <= label < len(names))):
        return label
    if names is not None and label in names:
        return names.index(label)
    if names is None and str(label).isdigit():
        return int(label)
    known = "numbers" if names is None else ", ".join(map(repr, names[:10]))
    raise ValueError(f"label must be a class of the model ({known}, ...). Received: {label!r}")


def _shown(size: int) -> int:
    """The size of a picture: a whole multiple of the clip's, and even, as videos must be."""
    factor = -(-_SHOWN // size)
    return size * factor if size * factor % 2 == 0 else size * factor * 2


def _enlarge(saliency: np.ndarray, size: int) -> np.ndarray:
    factor = size // saliency.shape[1]
    return saliency.repeat(factor, axis=1).repeat(factor, axis=2)
