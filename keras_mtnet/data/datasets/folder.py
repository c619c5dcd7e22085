"""Plain class folders: `<root>/<class>/<video>`, a file or a folder of pictures.

Videos may lie in further folders below the class, say of a person or a recording. Where the folders
above the classes are called `train`, `val` or `test`, or `train_256` and the like, they are the
parts of the data set.
"""

import dataclasses
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping

from keras_mtnet.data.datasets.lists import Listing, Request, check_several
from keras_mtnet.data.datasets.tree import is_folder
from keras_mtnet.data.videos import Video
from keras_mtnet.video.frame_folder import is_picture
from keras_mtnet.video.suffixes import VIDEO_SUFFIXES, is_leftover

_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def read(request: Request) -> Listing:
    """The videos of all class folders, or a share of them."""
    if request.split != 1:
        raise FileNotFoundError(f"{request.root!r} holds no lists of split {request.split}")
    left = _LeftOut(request.root)
    folders = _list_folders(request.root, left)
    parts = _find_parts(request, folders)
    if parts:
        found, class_names = _read_parts(request, parts, left)
    else:
        found = _read_classes(request.root, folders, request, left)
        class_names = request.class_names or tuple(found)
        check_several(class_names, repr(request.root))
    left.warn()
    labels = {name: label for label, name in enumerate(class_names)}
    files = [(name, labels[each]) for each, names in found.items() for name in names]
    rule = ""
    if not parts:
        wanted, rule = request.share_out(files)
        files = list(itertools.compress(files, wanted))
    videos = [
        Video(os.path.join(request.root, *name.split("/")), label, name) for name, label in files
    ]
    return Listing(class_names, videos, repr(request.root), rule)


def _find_parts(request: Request, folders: Iterable[str]) -> dict[str, str]:
    """Folders that are parts of the data set and not classes of these names, with their subset.

    Raises:
        ValueError: where some folders are parts and others are not.
    """
    kinds = {name: _PARTS.get(re.sub(r"[\W_]*\d*$", "", name.casefold())) for name in folders}
    parts = {name: part for name, part in kinds.items() if part is not None}
    silent = _LeftOut(request.root)
    if set(parts) & set(request.class_names or ()) or any(
        _is_video(entry.name)
        for name in parts
        for entry in _scan(os.path.join(request.root, name), silent)
    ):
        return {}
    others = [
        name
        for name in kinds
        if name not in parts and _list_videos(request.root, name, request.follow_links, silent)
    ]
    if others and len(set(parts.values())) > 1:
        raise ValueError(
            f"{request.root!r} holds {' and '.join(parts)}, but also {' and '.join(others)}: give "
            "one of them as root, move the others, or give class_names if all of them are classes"
        )
    return {} if others else parts


def _read_parts(
    request: Request, parts: Mapping[str, str], left: "_LeftOut"
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The videos of each class in the wanted parts, and the classes of all parts."""
    wanted = request.choose(dict.fromkeys(parts.values()))
    if not wanted:
        raise ValueError(
            f"{request.root!r} holds {' and '.join(parts)}, but no folder for subset="
            f"{request.subset!r}: give that of {' or '.join(parts)} as root, to share it out"
        )
    class_names = request.class_names
    if class_names is None and "train" not in parts.values():
        raise ValueError(
            f"{request.root!r} holds {' and '.join(parts)}, but no 'train', which tells the "
            "classes: give class_names, or the folder above the classes as root"
        )
    trees: dict[str, dict[str, list[str]]] = {}
    for name in sorted(parts, key=lambda name: parts[name] != "train"):
        if class_names is None and parts[name] != "train":
            class_names = tuple(sorted({known for tree in trees.values() for known in tree}))
        root = os.path.join(request.root, name)
        place = dataclasses.replace(request, class_names=class_names)
        trees[name] = _read_classes(root, _list_folders(root, left), place, left)
    class_names = class_names or tuple(sorted({known for tree in trees.values() for known in tree}))
    found: dict[str, list[str]] = {}
    for name, part in parts.items():
        for class_name, videos in trees[name].items() if part in wanted else ():
            found.setdefault(class_name, []).extend(f"{name}/{video}" for video in videos)
    return found, class_names


def _read_classes(
    root: str, folders: Iterable[str], request: Request, left: "_LeftOut"
) -> dict[str, list[str]]:
    """Names, from the root on, of the videos of each class."""
    found = {name: _list_videos(root, name, request.follow_links, left) for name in folders}
    if request.class_names is not None:
        others = [name for name, videos in found.items() if name not in request.class_names]
        if any(found[name] for name in others):
            raise ValueError(
                f"{root!r} holds folders that are none of the classes: "
                f"{', '.join(map(repr, others))}. The classes, in training or class_names, are "
                f"{request.class_names}"
            )
        return {name: found.get(name, []) for name in request.class_names}
    if not found:
        raise ValueError(f"{root!r} holds no class folder: expected <root>/<class>/<video>")
    for name, videos in found.items():
        if not videos:
            raise ValueError(
                f"{os.path.join(root, name)!r} holds no video{left.inside(name)}: fill or remove "
                "it, or give class_names"
            )
    return found


# --- What lies in folders ------------------------------------------------------------------------


class _LeftOut:
    """Counts what is passed over in a folder, to say it once."""

    def __init__(self, root: str):
        self.root = root
        self.names: dict[str, list[str]] = {}

    def add(self, why: str, path: str) -> None:
        self.names.setdefault(why, []).append(os.path.relpath(path, self.root))

    def inside(self, class_name: str) -> str:
        """What was left out in a class folder, for a message."""
        found = Counter(
            why
            for why, names in self.names.items()
            for name in names
            if class_name in name.split(os.sep)[:2]
        )
        return f" ({'; '.join(f'{n} {why}' for why, n in found.items())})" if found else ""

    def warn(self) -> None:
        if self.names:
            what = "; ".join(
                f"{len(names)} {why}, e.g. {names[0]!a}" for why, names in self.names.items()
            )
            warnings.warn(f"{self.root}: left out {what}", stacklevel=5)


def _scan(folder: str, left: _LeftOut) -> list[os.DirEntry]:
    """What is in a folder, sorted, without hidden files and leftovers."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_leftover(entry.name)]
    except OSError as error:
        left.add(f"folders that cannot be read ({error.strerror})", folder)
        return []
    return sorted(found, key=lambda entry: entry.name)


def _list_folders(root: str, left: _LeftOut) -> list[str]:
    """Names of the folders in a root, but for those of training runs."""
    names = []
    for entry in _scan(root, left):
        if not is_folder(entry):
            if _is_file(entry, left) and _is_video(entry.name):
                left.add("videos outside of class folders", entry.path)
            continue
        run = ("config.json", "checkpoints", "classes.txt", "model.keras")
        if sum(os.path.exists(os.path.join(entry, name)) for name in run) > 1:
            left.add("folders of training runs", entry.path)
        else:
            names.append(entry.name)
    return names


def list_videos(root: str, follow_links: bool = True) -> list[str]:
    """Names of all videos of a folder, at any depth, from it on, sorted."""
    left = _LeftOut(root)
    found = _list_videos(root, "", follow_links, left)
    left.warn()
    return found


def _list_videos(root: str, class_name: str, follow_links: bool, left: _LeftOut) -> list[str]:
    """Names of the videos of a class, or of all: files, and folders of pictures, at any depth."""
    found: list[str] = []
    waiting = [(class_name, frozenset({_identity(root)} if class_name else ()))]
    while waiting:
        name, above = waiting.pop()
        below = f"{name}/" if name else ""
        path = os.path.join(root, *name.split("/"))
        if _identity(path) in above:
            left.add("links to a folder above", path)
            continue
        above |= {_identity(path)}
        pictures: list[os.DirEntry] = []
        others: list[os.DirEntry] = []
        folders, videos = [], []
        for entry in _scan(path, left):
            if is_folder(entry):
                if entry.is_symlink() and not follow_links:
                    left.add("linked folders", entry.path)
                else:
                    folders.append((below + entry.name, above))
            elif not _is_file(entry, left):
                continue
            elif _is_video(entry.name):
                videos.append(below + entry.name)
            else:
                (pictures if is_picture(entry.name) else others).append(entry)
        if pictures and not videos and name != class_name:
            found.append(name)  # its frames
            continue
        for entry in (*pictures, *others):
            suffix = os.path.splitext(entry.name)[1].lower()
            left.add(f"files with the suffix {suffix or '(none)'}", entry.path)
        found += videos
        waiting += folders
    return sorted(found)


def _identity(path: str) -> tuple[int, int]:
    """What a folder and all links to it have in common."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _is_video(name: str) -> bool:
    return name.lower().endswith(VIDEO_SUFFIXES)


def _is_file(entry: os.DirEntry, left: _LeftOut) -> bool:
    """Whether an entry, or what it links to, is a file."""
    try:
        if entry.is_file():
            return True
        os.stat(entry.path)
        left.add("pipes, sockets or devices", entry.path)
    except OSError:
        left.add("links that lead nowhere", entry.path)
    return False
