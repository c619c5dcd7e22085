"""What lies on disk below a root. Each folder is listed once, which beats asking for each file."""

import os
import re
from collections import defaultdict
from collections.abc import Callable

from keras_mtnet.video.suffixes import VIDEO_SUFFIXES


def class_key(name: str) -> str:
    """A class name without what downloads change: case, and spaces and signs made `_`."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def _file_key(name: str) -> str:
    """A file name without case and video suffix: `v_a.mp4` may stand in for `V_A.avi`."""
    stem, suffix = os.path.splitext(name)
    return (stem if suffix.lower() in VIDEO_SUFFIXES else name).casefold()


class Tree:
    """The files below a root."""

    def __init__(self, root: str):
        self.root = root
        self._names: dict[str, frozenset[str]] = {}
        self._keys: dict[tuple[str, Callable[[str], str]], dict[str, str | None]] = {}

    def find(self, *parts: str) -> str | None:
        """The path of a file, or folder of pictures.

        Args:
            *parts: names of folders and of the file, from the root on. Each is taken as it is
                written if it is there, and otherwise as the one entry that differs in nothing but
                case and, for a folder, spaces and signs or, for a file, its video suffix.

        Returns:
            The path, None if there is none.
        """
        path = self.root
        for place, name in enumerate(parts, 1):
            if name not in self._list(path):
                key = _file_key if place == len(parts) else class_key
                name = self._by_key(path, key).get(key(name))
            if name is None:
                return None
            path = os.path.join(path, name)
        return path

    def _list(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                self._names[folder] = frozenset()
        return self._names[folder]

    def _by_key(self, folder: str, key: Callable[[str], str]) -> dict[str, str | None]:
        """Entries by their key; None where several have it."""
        if (folder, key) not in self._keys:
            names: dict[str, str | None] = {}
            for name in self._list(folder):
                names[key(name)] = None if key(name) in names else name
            self._keys[folder, key] = names
        return self._keys[folder, key]

    def stems(self, depth: int = 3) -> dict[str, list[str]]:
        """Paths of the video files in the root and at most `depth` folders below, by their stem."""
        found = defaultdict(list)
        folders = [(self.root, 0)]
        while folders:
            folder, level = folders.pop()
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    stem, suffix = os.path.splitext(entry.name)
                    if suffix.lower() in VIDEO_SUFFIXES:
                        found[stem].append(entry.path)
                    elif level < depth and not entry.name.startswith(".") and entry.is_dir():
                        folders.append((entry.path, level + 1))
        return found
