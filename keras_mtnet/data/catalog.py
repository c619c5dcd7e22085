"""Which videos there are, and what they show: data sets, their splits, and plain class folders."""

import os
from collections.abc import Callable

from keras_mtnet.data.datasets import csv_file, folder, hacs, hmdb51, kinetics, moments, ucf101
from keras_mtnet.data.datasets.lists import Listing, Part
from keras_mtnet.data.packing.manifest import is_packed
from keras_mtnet.data.packing.reader import read_packed
from keras_mtnet.data.videos import Video, Videos

SUBSETS = ("train", "test", "all")
READERS: dict[str, Callable[[Part], Listing]] = {
    "folder": folder.read,
    "csv": csv_file.read,
    "ucf101": ucf101.read,
    "hmdb51": hmdb51.read,
    "kinetics400": kinetics.read,
    "kinetics700": kinetics.read,
    "hacs": hacs.read,
    "moments": moments.read,
}
SEVERAL_SPLITS = ("ucf101", "hmdb51", "folder")  # a folder may hold the lists of UCF-101
# A list with more classes than these is that of another data set. Fewer are welcome.
MOST_CLASSES = {"hmdb51": 51, "kinetics400": 400, "kinetics700": 700, "hacs": 200, "moments": 339}


def read_split(
    dataset: str,
    root: str,
    annotations: str | None = None,
    split: int = 1,
    subset: str = "train",
    validation_split: float = 0.2,
    split_seed: int = 0,
) -> Videos:
    """Finds the videos of one part of a data set.

    Args:
        dataset:
            - `"folder"`: `<root>/<class>/<video>`, where a video is a file or a folder of pictures.
              A root that holds `classInd.txt` and lists is read as `"ucf101"`.
            - `"csv"`: files with the columns `path,label[,start,end]`. `annotations` is one such
              file, or a folder of `train.csv` and `test.csv`.
            - `"ucf101"`: `<root>/<Class>/<video>` and the lists `classInd.txt`,
              `trainlist0<split>.txt`, `testlist0<split>.txt`.
            - `"hmdb51"`: `<root>/<class>/<video>` and the lists `<class>_test_split<split>.txt`.
            - `"kinetics400"`, `"kinetics700"`: `train.csv`, `val.csv` and files
              `<id>_<start>_<end>.<suffix>` (six digits each) or `<id>.<suffix>` anywhere below.
            - `"hacs"`: `HACS_clips_v1.1.1.csv` and files `v_<id>.<suffix>` anywhere below.
            - `"moments"`: `training/<class>/<video>`, `validation/<class>/<video>` and
              `trainingSet.csv`, `validationSet.csv`, `moments_categories.txt`.
            Each has a module in `keras_mtnet/data/datasets` that tells the details.
        root: folder of the videos, or of a packed set: see `pack`. That brings its own lists, and
            its data set need not be named: `"folder"` stands for any.
        annotations: folder of the lists. When None, `root` and the folder under which they are
            usually unpacked (`ucfTrainTestlist`, `testTrainMulti_7030_splits`, `HACS_v1.1.1`,
            `annotations`), in `root` or beside it, are tried.
        split: number of the official split, of UCF-101 and HMDB-51.
        subset: `"train"`, `"test"` (the validation list of Kinetics, HACS and Moments, whose test
            labels are not public) or `"all"`.
        validation_split: for plain folders and a single CSV file, the share of the videos that is
            `"test"`. Where every file is named as in UCF-101 (`..._g07_c02.avi`), whole groups are
            kept together: clips of a group are cut from one recording, and splitting them would
            leak.
        split_seed: chooses those videos; keep it, or training sees validation videos.

    Returns:
        `Videos` sorted by name. Listed videos that are not on disk are in its `missing`.

    Raises:
        ValueError: for a wrong argument or list (with file and line), for fewer than two classes.
        FileNotFoundError: if the folder or a list is missing, or none of the listed videos exists.
    """
    if dataset not in READERS:
        raise ValueError(f"dataset must be one of {sorted(READERS)}. Received: {dataset!r}")
    if subset not in SUBSETS:
        raise ValueError(f"subset must be one of {list(SUBSETS)}. Received: {subset!r}")
    if split != 1 and dataset not in SEVERAL_SPLITS:
        raise ValueError(f"{dataset} has one split, split=1. Received: split={split}")
    if is_packed(root):
        part = Part(root, annotations, split, subset, validation_split, split_seed)
        return read_packed(dataset, part)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"no such folder: {root!r}")
    if annotations is not None and not os.path.exists(annotations):
        raise FileNotFoundError(f"no such annotations: {annotations!r}")
    if dataset == "folder" and (annotations is not None or ucf101.has_lists(root, split)):
        dataset = "ucf101"
    part = Part(root, annotations, split, subset, validation_split, split_seed)
    return _collect(dataset, part, READERS[dataset](part))


def _collect(dataset: str, part: Part, listing: Listing) -> Videos:
    """The listed videos, apart by whether they are there, with a look at the whole."""
    class_names, source = listing.class_names, listing.source
    if len(class_names) < 2:
        raise ValueError(
            f"{source}: classification needs at least two classes. Received: {len(class_names)}"
        )
    if len(class_names) > MOST_CLASSES.get(dataset, len(class_names)):
        raise ValueError(
            f"{source}: {dataset} has {MOST_CLASSES[dataset]} classes. Received: {len(class_names)}"
        )
    entries = sorted(listing.entries)
    missing = [entry.name for entry in entries if entry.path is None]
    if missing and len(missing) == len(entries):
        raise FileNotFoundError(
            f"none of the {len(missing)} videos of {source} is in {part.root!r}, "
            f"for example {missing[0]!r}"
        )
    videos = [Video(e.path, e.label, e.name, e.start, e.end) for e in entries if e.path is not None]
    return Videos(videos, class_names, missing, dataset)
