"""Which videos there are, and what they show: data sets, their splits, and plain class folders."""

import dataclasses
import itertools
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keras_mtnet.data.decode import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
# Distance between neighbouring frames of a clip, per data set.
STRIDES = {"folder": 2, "ucf101": 4}
SUBSETS = ("train", "test", "all")


@dataclasses.dataclass(frozen=True)
class Video:
    """One video, or a part of one.

    Attributes:
        path: where it lies.
        label: index into the class names, -1 when unknown.
        name: its path below the root as the list writes it; reports call it so.
        start: where the part begins, in seconds; None for the start of the video.
        end: where the part ends, in seconds; None for the end of the video.
    """

    path: str
    label: int
    name: str
    start: float | None = None
    end: float | None = None


class Videos(Sequence[Video]):
    """Videos in a fixed order, with what their labels mean.

    Attributes:
        class_names: tuple of names in label order, empty for unlabelled videos.
        missing: names of videos that are listed but not on disk.
        dataset: the data set they are from.
        stride: distance between neighbouring frames of a clip that suits the data set.
    """

    def __init__(
        self,
        videos: Iterable[Video],
        class_names: Iterable[str] = (),
        missing: Iterable[str] = (),
        dataset: str = "folder",
    ):
        self._videos = tuple(videos)
        self.class_names = tuple(class_names)
        self.missing = tuple(missing)
        self.dataset = dataset
        self.stride = STRIDES[dataset]

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Videos(self._videos[index], self.class_names, self.missing, self.dataset)
        return self._videos[index]

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"<{len(self)} {self.dataset} videos of {len(self.class_names)} classes{missing}>"


def read_split(
    dataset: str,
    root: str,
    annotations: str | None = None,
    split: int = 1,
    subset: str = "train",
    validation_split: float = 0.2,
    seed: int = 0,
) -> Videos:
    """Finds the videos of one part of a data set.

    Args:
        dataset:
            - `"ucf101"`: `<root>/<Class>/<video>` and the lists `classInd.txt`,
              `trainlist0<split>.txt`, `testlist0<split>.txt`.
            - `"folder"`: `<root>/<class>/<video>`, where a video is a file or a folder of pictures.
              A root that holds `classInd.txt` and lists is read as `"ucf101"`.
        root: folder of the class folders.
        annotations: folder of the lists. When None, `root` itself, `ucfTrainTestlist` in it and
            `ucfTrainTestlist` beside it are tried.
        split: number of the official split.
        subset: `"train"`, `"test"` or `"all"`.
        validation_split: for plain folders, the share of the videos that is `"test"`. Where every
            file is named as in UCF-101 (`..._g07_c02.avi`), whole groups are kept together: clips
            of a group are cut from one recording, and splitting them would leak.
        seed: for plain folders, chooses those videos.

    Returns:
        `Videos` sorted by name.

    Raises:
        ValueError: for a wrong argument or list (with file and line), for fewer than two classes.
        FileNotFoundError: if the folder or a list is missing, or none of the listed videos exists.
    """
    if dataset not in STRIDES:
        raise ValueError(f"dataset must be one of {sorted(STRIDES)}. Received: {dataset!r}")
    if subset not in SUBSETS:
        raise ValueError(f"subset must be one of {list(SUBSETS)}. Received: {subset!r}")
    if not os.path.isdir(root):
        raise FileNotFoundError(f"no such folder: {root!r}")
    if dataset == "folder" and annotations is None and not _has_lists(root, split):
        return _read_folder(root, subset, validation_split, seed)
    return _read_ucf101(root, annotations, split, subset)


def read_videos(paths: Iterable[str]) -> Videos:
    """Videos without labels, in the order given, named by their paths."""
    return Videos(Video(str(path), -1, str(path)) for path in paths)


# --- UCF-101 -------------------------------------------------------------------------------------

# The lists, the folders and the files of UCF-101 do not agree on how this class is written.
_SPELLINGS = ("HandstandPushups", "HandStandPushups")


class _Line(NamedTuple):
    """A line of a list that is not empty; str() of it tells where it is."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


def _lines(path: str) -> Iterator[_Line]:
    with open(path, encoding="utf-8-sig") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                yield _Line(path, number, text.strip())


def _has_lists(folder: str, split: int) -> bool:
    names = ("classInd.txt", f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt")
    return all(os.path.isfile(os.path.join(folder, name)) for name in names)


def _read_ucf101(root: str, annotations: str | None, split: int, subset: str) -> Videos:
    beside = os.path.join(os.path.dirname(os.path.abspath(root)), "ucfTrainTestlist")
    places = [root, os.path.join(root, "ucfTrainTestlist"), beside]
    places = places if annotations is None else [annotations]
    folder = next((place for place in places if _has_lists(place, split)), None)
    if folder is None:
        raise FileNotFoundError(
            f"classInd.txt, trainlist{split:02d}.txt and testlist{split:02d}.txt are not together "
            f"in {' or '.join(map(repr, places))}: give their folder as annotations"
        )
    class_names = _read_class_names(os.path.join(folder, "classInd.txt"))
    lists = ("train", "test") if subset == "all" else (subset,)
    paths = [os.path.join(folder, f"{name}list{split:02d}.txt") for name in lists]
    classes = {_spell(name): label for label, name in enumerate(class_names)}
    labels: dict[str, int] = {}
    for line in itertools.chain.from_iterable(map(_lines, paths)):
        name, label = _read_entry(line, classes)
        if name in labels:
            raise ValueError(f"{line}: {name!r} is listed twice")
        labels[name] = label
    found = {name: _find(root, name) for name in sorted(labels)}
    missing = [name for name, path in found.items() if path is None]
    if len(missing) == len(found):
        raise FileNotFoundError(
            f"none of the {len(missing)} videos of {' and '.join(paths)} is in {root!r}"
            + (f", for example {missing[0]!r}" if missing else "")
        )
    videos = [Video(path, labels[name], name) for name, path in found.items() if path is not None]
    return Videos(videos, class_names, missing, "ucf101")


def _read_class_names(path: str) -> list[str]:
    """Reads `classInd.txt`: a number from 1 and a name on each line."""
    names: dict[int, str] = {}
    for line in _lines(path):
        number, _, name = line.text.partition(" ")
        if not number.isdecimal() or not name.strip():
            raise ValueError(f"{line}: expected '<number> <class>'. Received: {line.text!r}")
        if int(number) in names or name.strip() in names.values():
            raise ValueError(f"{line}: a number or name is there already: {line.text!r}")
        names[int(number)] = name.strip()
    if sorted(names) != list(range(1, len(names) + 1)):
        raise ValueError(f"{path}: the numbers must be 1 to {len(names)}, each once")
    _check_class_count(len(names), path)
    return [names[number] for number in sorted(names)]


def _check_class_count(count: int, where: str) -> None:
    if count < 2:
        raise ValueError(f"{where}: classification needs at least two classes. Received: {count}")


def _read_entry(line: _Line, classes: dict[str, int]) -> tuple[str, int]:
    """Reads 'Class/file.avi' with or without a number from 1 behind it: name, label from 0."""
    name, _, number = line.text.rpartition(" ")
    if not number.isdecimal() or not name:
        name, number = line.text, ""
    name = name.strip().replace("\\", "/")
    parts = name.split("/")
    if os.path.isabs(name) or ".." in parts or re.match("[A-Za-z]:", name):
        raise ValueError(f"{line}: {name!r} leaves the root: give it as 'Class/file'")
    if len(parts) != 2:
        raise ValueError(f"{line}: expected 'Class/file'. Received: {name!r}")
    label = classes.get(_spell(parts[0]))
    if label is None:
        raise ValueError(f"{line}: {parts[0]!r} is not a class of classInd.txt")
    if number and not 1 <= int(number) <= len(classes):
        raise ValueError(f"{line}: labels are 1 to {len(classes)}. Received: {number}")
    if number and int(number) != label + 1:
        raise ValueError(f"{line}: {parts[0]!r} has label {label + 1}. Received: {number}")
    return name, label


def _spell(name: str, spelling: str = _SPELLINGS[0]) -> str:
    for other in _SPELLINGS:
        name = name.replace(other, spelling)
    return name


def _find(root: str, name: str) -> str | None:
    """The path of a listed video, with either spelling in its folder and file; None if missing."""
    folder, file = name.split("/")
    spellings = itertools.product(_SPELLINGS, repeat=2) if _spell(name) != _spell(name, "") else ()
    variants = [(_spell(folder, one), _spell(file, other)) for one, other in spellings]
    paths = (os.path.join(root, *variant) for variant in [(folder, file), *variants])
    return next((path for path in paths if os.path.exists(path)), None)


# --- Class folders -------------------------------------------------------------------------------


def _read_folder(root: str, subset: str, validation_split: float, seed: int) -> Videos:
    names = {entry: _list_videos(root, entry) for entry in _list_folders(root)}
    if not names:
        raise ValueError(f"{root!r} holds no class folder: expected <root>/<class>/<video>")
    for class_name, videos in names.items():
        if not videos:
            raise ValueError(
                f"{os.path.join(root, class_name)!r} holds no video: fill or remove it"
            )
    _check_class_count(len(names), repr(root))
    tests = set() if subset == "all" else _choose_tests(names, validation_split, seed)
    videos = [
        Video(os.path.join(root, name), label, name)
        for label, class_name in enumerate(names)
        for name in names[class_name]
        if subset == "all" or (name in tests) == (subset == "test")
    ]
    short = Counter(video.label for video in videos)
    if subset == "train" and len(short) < len(names):
        empty = next(each for label, each in enumerate(names) if label not in short)
        raise ValueError(
            f"no video of class {empty!r} is left for training: "
            f"choose a validation_split below {validation_split}, or another seed than {seed}"
        )
    return Videos(videos, names, (), "folder")


def _list_folders(root: str) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _list_videos(root: str, class_name: str) -> list[str]:
    """Names of the videos of a class: files, and folders of pictures."""
    with os.scandir(os.path.join(root, class_name)) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and _is_video(e)]
    return sorted(f"{class_name}/{name}" for name in names)


def _is_video(entry: os.DirEntry) -> bool:
    if entry.is_file():
        return entry.name.lower().endswith(VIDEO_SUFFIXES)
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(entry.path))


def _choose_tests(names: dict[str, list[str]], validation_split: float, seed: int) -> set[str]:
    """The videos to test on: whole groups where the names tell them, else a share of each class."""
    if not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be between 0 and 1. Received: {validation_split}")
    everything = list(itertools.chain.from_iterable(names.values()))
    groups = {name: re.search(r"_g(\d+)_c\d+\.\w+$", name) for name in everything}
    if all(groups.values()):
        chosen = _share({int(match[1]) for match in groups.values()}, validation_split, seed)
        return {name for name, match in groups.items() if int(match[1]) in chosen}
    chosen = [_share(videos, validation_split, seed) for videos in names.values()]
    return set(itertools.chain.from_iterable(chosen))


def _share(items: Iterable, share: float, seed: int) -> set:
    """A part of `items` chosen by `seed`: at least one, but never all."""
    items = sorted(items)
    count = min(max(1, round(share * len(items))), len(items) - 1)
    return set(random.Random(seed).sample(items, count))
