"""Packed sets for tests."""

import shutil

from keras_mtnet.data import pack

OPTIONS = {"shards": 3, "short_side": 320, "quality": 95}


def pack_small(root, output, **options):
    """Packs a few small videos; returns the folder."""
    pack("folder", str(root), str(output), **{**OPTIONS, "workers": 2, **options})
    return str(output)


def contents(folder):
    """File name to bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def few(root, folder, classes=2):
    """A folder with the videos of the first classes alone, without lists: 6 each."""
    for path in sorted(path for path in root.iterdir() if path.is_dir())[:classes]:
        shutil.copytree(path, folder / path.name)
    return folder


def flip_byte(path, place):
    """Changes one byte of a file."""
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0xFF]))
