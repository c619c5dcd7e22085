"""HACS Clips: `HACS_clips_v1.1.1.csv`, with parts of 2 seconds of longer videos.

Only clips that show their class (label 1) are used. Classes are in the order of their names. The
validation clips are the test subset. A video is looked for by its file name, `v_<id>.<suffix>` or
`<id>.<suffix>`, in the root and up to three folders below: the official downloader makes
`<Class_with_underscores>/v_<id>.mp4`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.datasets.tree import Tree
from keras_mtnet.data.videos import Video

LIST = r"HACS_clips_v[\d.]+\.csv"
SUBSETS = {"train": "training", "validation": "validation"}
_COLUMNS = ("classname", "youtube_id", "subset", "start", "end", "label")


class _Row(NamedTuple):
    line: Line
    class_name: str
    video: str
    subset: str
    start: float
    end: float


def read(request: Request) -> Listing:
    """The clips that the list names."""
    folder = lists.find_lists(
        request,
        "HACS_v1.1.1",
        lambda place: bool(lists.find_file(place, LIST)),
        "HACS_clips_v1.1.1.csv",
    )
    path = lists.find_file(folder, LIST)
    rows = [row for row in map(_read_row, lists.read_table(path, _COLUMNS)) if row]
    class_names = sorted({row.class_name for row in rows})
    labels = {name: label for label, name in enumerate(class_names)}
    wanted = {SUBSETS[name] for name in request.choose(SUBSETS)}
    tree = Tree(request.root)

    def videos() -> Iterator[tuple[Line, Video]]:
        for line, class_name, video, subset, start, end in rows:
            if subset in wanted:
                found = tree.of_stem(f"v_{video}", class_name) or tree.of_stem(video, class_name)
                name = lists.part_name(f"{class_name}/v_{video}", start, end)
                yield line, Video(found, labels[class_name], name, start, end)

    return Listing(class_names, lists.unique(videos()), path)


def _read_row(row: tuple[Line, list[str]]) -> _Row | None:
    """None for a clip that does not show its class."""
    line, (class_name, video, subset, first, last, shows) = row
    if subset == "testing":  # its labels are not for everyone, so neither are they checked
        return None
    if subset not in SUBSETS.values() or shows not in ("1", "-1"):
        raise ValueError(
            f"{line}: expected subset training, validation or testing and label 1 or -1. "
            f"Received: {subset!r}, {shows!r}"
        )
    start, end = lists.seconds(line, first, last)
    if not class_name or start is None or end is None:
        raise ValueError(f"{line}: expected a class, start and end. Received: {row[1]}")
    video = lists.youtube_id(line, video)
    return _Row(line, class_name, video, subset, start, end) if shows == "1" else None
