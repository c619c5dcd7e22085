"""One video, and a list of videos with what their labels mean."""

import dataclasses
from collections.abc import Iterable, Sequence

from keras_mtnet.data.catalog import DATASETS
from keras_mtnet.video.opening import open_video
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import VideoSource


@dataclasses.dataclass(frozen=True, slots=True)
class Video:
    """One video, or a part of one.

    Attributes:
        path: where it lies; `""` in a list that names it while it is not on disk.
        label: index into the class names, -1 when unknown.
        name: what its list calls it, with the part if it is one; reports call it so.
        start: where the part begins, in seconds; None for the start of the video.
        end: where the part ends, in seconds; None for the end of the video.
    """

    path: str
    label: int
    name: str
    start: float | None = None
    end: float | None = None

    def open(self, fps: float | None = None, cache: ReadCache | None = None) -> VideoSource:
        """Its frames; see `keras_mtnet.video.open_video`."""
        return open_video(self.path, self.name, self.start, self.end, fps, cache)


class Videos(Sequence[Video]):
    """Videos in a fixed order, with what their labels mean.

    Attributes:
        class_names: tuple of names in label order, empty for unlabeled videos.
        missing: names of videos that are listed but not on disk.
        dataset: the data set they are from.
        stride: distance between neighboring frames of a clip that suits the data set.
        rule: how `read_split` shared the videos out, if not by lists or folders of the data set.
    """

    def __init__(
        self,
        videos: Iterable[Video],
        class_names: Iterable[str] = (),
        missing: Iterable[str] = (),
        dataset: str = "folder",
        rule: str = "",
    ):
        self._videos = tuple(videos)
        self.class_names = tuple(class_names)
        self.missing = tuple(missing)
        self.dataset = dataset
        self.rule = rule
        self.stride = DATASETS[dataset].stride

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index):
        if isinstance(index, slice):
            chosen = self._videos[index]
            return Videos(chosen, self.class_names, self.missing, self.dataset, self.rule)
        return self._videos[index]

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"<{len(self)} {self.dataset} videos of {len(self.class_names)} classes{missing}>"


def read_videos(paths: Iterable[str]) -> Videos:
    """Videos without labels, in the order given, named by their paths."""
    return Videos(Video(str(path), -1, str(path)) for path in paths)
