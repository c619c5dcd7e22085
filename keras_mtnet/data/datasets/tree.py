"""What lies on disk below a root. Each folder is listed once, which beats asking for each file."""

import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable

from keras_mtnet.video.suffixes import VIDEO_SUFFIXES


def class_key(name: str) -> str:
    """A class name without what downloads change: case, accents apart, and signs made `_`."""
    return re.sub(r"[\W_]+", "_", _plain(name)).strip("_")


def _file_key(name: str) -> str:
    """A file name without case and video suffix: `v_a.mp4` may stand in for `V_A.avi`."""
    stem, suffix = os.path.splitext(name)
    return _plain(stem if suffix.lower() in VIDEO_SUFFIXES else name)


def _plain(name: str) -> str:
    """A name in lower case, its accents with their letters: macOS unpacks them apart."""
    return unicodedata.normalize("NFC", name).casefold()


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder, or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class Tree:
    """The files below a root."""

    def __init__(self, root: str):
        self.root = root
        self._names: dict[str, frozenset[str]] = {}
        self._keys: dict[tuple[str, Callable[[str], str]], dict[str, str]] = {}

    def find(self, *parts: str) -> str:
        """The path of a file, or folder of pictures, by its parts below the root; `""` for none.

        Each part is taken as it is written if it is there, and otherwise as the one entry that
        differs in nothing but case and, for a folder, spaces and signs or, for a file, its video
        suffix.
        """
        path = self.root
        for place, name in enumerate(parts, 1):
            if name not in self._list(path):
                key = _file_key if place == len(parts) else class_key
                name = self._by_key(path, key).get(key(name), "")
            if not name:
                return ""
            path = os.path.join(path, name)
        return path

    def of_stem(self, stem: str, class_name: str) -> str:
        """The path of a video file by its name without suffix; `""` if there is none.

        It may lie up to three folders below the root. Of several, that in the folder of its class
        is taken; then one in a folder of replacements.
        """

        def order(path: str) -> tuple[bool, bool, str]:
            folder = os.path.dirname(path)
            other_class = class_key(os.path.basename(folder)) != class_key(class_name)
            return other_class, "replacement" not in folder, path

        return min(self.stems.get(stem, ()), key=order, default="")

    @functools.cached_property
    def stems(self) -> dict[str, list[str]]:
        """Paths of the video files in the root and up to three folders below, by their stem."""
        found = defaultdict(list)
        folders = [(self.root, 0)]
        while folders:
            folder, level = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except PermissionError:
                continue
            for entry in listed:
                stem, suffix = os.path.splitext(entry.name)
                if suffix.lower() in VIDEO_SUFFIXES:
                    found[stem].append(entry.path)
                elif level < 3 and not entry.name.startswith(".") and is_folder(entry):
                    folders.append((entry.path, level + 1))
        return found

    def _list(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:  # not there, no folder, a link to itself, or not for everyone
                self._names[folder] = frozenset()
        return self._names[folder]

    def _by_key(self, folder: str, key: Callable[[str], str]) -> dict[str, str]:
        """Entries by their key; `""` where several have it."""
        if (folder, key) not in self._keys:
            names: dict[str, str] = {}
            for name in self._list(folder):
                names[key(name)] = "" if key(name) in names else name
            self._keys[folder, key] = names
        return self._keys[folder, key]
