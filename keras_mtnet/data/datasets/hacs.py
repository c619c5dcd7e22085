"""HACS Clips: `HACS_clips_v1.1.1.csv`, with parts of 2 seconds of longer videos.

Only clips that show their class (label 1) are used. Classes are in the order of their names. The
validation clips are the test subset. A video is looked for by its file name, `v_<id>.<suffix>` or
`<id>.<suffix>`, in the root and up to three folders below: the official downloader makes
`<Class_with_underscores>/v_<id>.mp4`.
"""

from collections.abc import Iterator

from keras_mtnet.data.datasets.kinetics import choose
from keras_mtnet.data.datasets.lists import (
    Entry,
    Line,
    Listing,
    Part,
    find_file,
    find_lists,
    part_name,
    read_table,
    seconds,
    unique,
    youtube_id,
)
from keras_mtnet.data.datasets.tree import Tree

LIST = r"HACS_clips_v[\d.]+\.csv"
SUBSETS = {"train": ("training",), "test": ("validation",), "all": ("training", "validation")}
_COLUMNS = ("classname", "youtube_id", "subset", "start", "end", "label")


def read(part: Part) -> Listing:
    """The clips that the list names."""
    folder = find_lists(
        part, "HACS_v1.1.1", lambda place: bool(find_file(place, LIST)), "HACS_clips_v1.1.1.csv"
    )
    path = find_file(folder, LIST)
    rows = [row for row in map(_read_row, read_table(path, _COLUMNS)) if row]
    class_names = sorted({class_name for _, class_name, *_ in rows})
    labels = {name: label for label, name in enumerate(class_names)}
    stems = Tree(part.root).stems()

    def entries() -> Iterator[tuple[Line, Entry]]:
        for line, class_name, video, subset, start, end in rows:
            if subset in SUBSETS[part.subset]:
                paths = stems.get(f"v_{video}") or stems.get(video, [])
                name = part_name(f"{class_name}/v_{video}", start, end)
                yield line, Entry(name, labels[class_name], choose(paths, class_name), start, end)

    return Listing(class_names, unique(entries()), path)


def _read_row(
    row: tuple[Line, list[str]],
) -> tuple[Line, str, str, str, float, float] | None:
    """Line, class, id, subset, start and end; None for a clip that does not show its class."""
    line, (class_name, video, subset, first, last, shows) = row
    if subset == "testing":  # its labels are not for everyone, so neither are they checked
        return None
    if subset not in SUBSETS["all"] or shows not in ("1", "-1"):
        raise ValueError(
            f"{line}: expected subset training, validation or testing and label 1 or -1. "
            f"Received: {subset!r}, {shows!r}"
        )
    start, end = seconds(line, first, last)
    if not class_name or start is None or end is None:
        raise ValueError(f"{line}: expected a class, start and end. Received: {row[1]}")
    return (line, class_name, youtube_id(line, video), subset, start, end) if shows == "1" else None
