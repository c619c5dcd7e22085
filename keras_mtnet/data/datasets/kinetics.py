"""Kinetics-400 and -700: a training and a validation list, `label,youtube_id,time_start,time_end`.

Lists are called `train.csv` and `val.csv`, or as other releases call them (`validate.csv`,
`kinetics_train.csv`, `kinetics-400_val.csv`). Classes are in the order of their names. Validation
videos are the test subset: the real test list has no labels in every release.

A video is looked for by its file name, in the root and up to three folders below, so any of the
usual trees will do (`train/<class>/`, `<class>/`, all in one folder):
- `<id>_000010_000020.<suffix>`: the part from 10 to 20 seconds, cut out.
- `<id>.<suffix>`: the whole video, of which that part is used.
Of several files of one name, that in the folder of its class is taken; then one in a folder of
replacements, as those that the hosts of Kinetics-400 give for broken files.
"""

from collections.abc import Iterator

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line, Listing, Request
from keras_mtnet.data.datasets.tree import Tree
from keras_mtnet.data.videos import Video

_PREFIX = r"(k(inetics)?[-_]?)?((400|700)([-_]2020)?[-_])?"
LISTS = {"train": rf"{_PREFIX}train\.csv", "validation": rf"{_PREFIX}val(idate|idation)?\.csv"}
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(request: Request) -> Listing:
    """The videos that the lists name."""
    folder = lists.find_lists(
        request,
        "annotations",
        lambda place: all(lists.find_file(place, pattern) for pattern in LISTS.values()),
        "train.csv and val.csv together",
    )
    paths = {subset: lists.find_file(folder, pattern) for subset, pattern in LISTS.items()}
    class_names = sorted({row[0] for _, row in lists.read_table(paths["train"], _COLUMNS)})
    labels = {name: label for label, name in enumerate(class_names)}
    chosen = [paths[subset] for subset in request.choose(paths)]
    tree = Tree(request.root)

    def videos() -> Iterator[tuple[Line, Video]]:
        for path in chosen:
            for line, (class_name, video, first, last) in lists.read_table(path, _COLUMNS):
                label = lists.label_of(line, class_name, labels, paths["train"])
                start, end = lists.seconds(line, first, last)
                if start is None or end is None:
                    raise ValueError(f"{line}: expected start and end in seconds")
                stem = f"{lists.youtube_id(line, video)}_{int(start):06d}_{int(end):06d}"
                name = f"{class_name}/{stem}"
                if cut := tree.of_stem(stem, class_name):
                    yield line, Video(cut, label, name)
                else:
                    yield line, Video(tree.of_stem(video, class_name), label, name, start, end)

    return Listing(class_names, lists.unique(videos()), " and ".join(chosen))
