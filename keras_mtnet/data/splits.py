"""Which videos there are, and which of them are for training and which for testing."""

import dataclasses
import importlib
import os
import re
import sys
from collections.abc import Sequence

from absl import logging

from keras_mtnet.data.catalog import DATASETS, SUBSETS
from keras_mtnet.data.datasets import ucf101
from keras_mtnet.data.datasets.lists import Listing, Request, check_several
from keras_mtnet.data.packing.manifest import is_packed
from keras_mtnet.data.packing.reader import read_packed
from keras_mtnet.data.videos import Videos

# What ends a line somewhere, and surrogates, which stand for bytes that are no UTF-8.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_split(
    dataset: str,
    root: str | os.PathLike,
    annotations: str | os.PathLike | None = None,
    split: int = 1,
    subset: str = "train",
    validation_split: float = 0.2,
    split_seed: int = 0,
    class_names: Sequence[str] | None = None,
    follow_links: bool = True,
) -> Videos:
    """Finds the videos of one part of a data set.

    Args:
        dataset:
            - `"folder"`: `<root>/<class>/<video>`, where a video is a file or a folder of pictures,
              also in folders further down. With `train`, `val` or `test` folders above the classes,
              these are the parts. A root that holds `classInd.txt` and lists is read as `"ucf101"`.
            - `"csv"`: files with the columns `path,label[,start,end]`. `annotations` is one such
              file, or a folder of `train.csv` and `val.csv`, `test.csv` or both.
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
        subset: `"train"`, `"validation"`, `"test"` or `"all"`. Where a data set has one list beside
            that for training, it is both `"validation"` and `"test"`: the validation list of
            Kinetics, HACS and Moments, whose test labels are not public.
        validation_split: for plain folders and a single CSV file, the share of the videos that is
            `"validation"`. Videos of one recording stay on one side: see `data.groups`.
        split_seed: chooses those videos. Read all subsets with the same one.
        class_names: the classes in label order, of which some may have no video; those of the
            folders in sorted order when None. For `"folder"` only.
        follow_links: look into folders that are symbolic links, below those of the classes.

    Returns:
        `Videos` sorted by name. Listed videos that are not on disk are in its `missing`.

    Raises:
        ValueError: for a wrong argument or list (with file and line), for fewer than two classes.
        FileNotFoundError: if the folder or a list is missing, or none of the listed videos exists.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> root = tempfile.mkdtemp() + "/videos"
    >>> mt.data.draw_dataset(root, groups=3, clips_per_group=1, frames=8, size=(48, 32))
    >>> mt.data.read_split("ucf101", root, split=1, subset="test")
    <8 ucf101 videos of 8 classes>
    """
    root, annotations = os.fspath(root), None if annotations is None else os.fspath(annotations)
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {sorted(DATASETS)}. Received: {dataset!r}")
    if subset not in SUBSETS:
        raise ValueError(f"subset must be one of {list(SUBSETS)}. Received: {subset!r}")
    if split != 1 and DATASETS[dataset].splits == 1:
        raise ValueError(f"{dataset} has one split, split=1. Received: split={split}")
    if class_names is not None and dataset != "folder":
        raise ValueError(f"class_names is for data set 'folder'. Received: dataset={dataset!r}")
    if class_names is not None and len(set(class_names)) < len(class_names):
        raise ValueError(f"class_names must differ. Received: class_names={tuple(class_names)}")
    request = Request(
        root,
        annotations,
        split,
        subset,
        validation_split,
        split_seed,
        None if class_names is None else tuple(map(str, class_names)),
        follow_links,
    )
    if is_packed(root):
        return _check_names(read_packed(dataset, request), request)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"no such folder: {root!r}")
    if annotations is not None and not os.path.exists(annotations):
        raise FileNotFoundError(f"no such annotations: {annotations!r}")
    if dataset == "folder" and (annotations is not None or ucf101.has_lists(root, split)):
        dataset = "ucf101"
    reader = importlib.import_module(f"keras_mtnet.data.datasets.{DATASETS[dataset].reader}")
    videos = _collect(dataset, request, reader.read(request))
    return _check_names(videos, request)


def _collect(dataset: str, request: Request, listing: Listing) -> Videos:
    """The listed videos, apart by whether they are there, with a look at the whole."""
    class_names, source = listing.class_names, listing.source
    check_several(class_names, source)
    most = DATASETS[dataset].classes
    if most is not None and len(class_names) > most:
        raise ValueError(f"{source}: {dataset} has {most} classes. Received: {len(class_names)}")
    for name in class_names:
        if name != printable(name):
            raise ValueError(
                f"{source}: a class name must be one line of UTF-8 text, as runs store it so. "
                f"{_way_out()}. Received: {name!a}"
            )
    found = sorted(listing.videos, key=lambda v: (v.name, v.label))
    found = [dataclasses.replace(video, name=printable(video.name)) for video in found]
    missing = [video.name for video in found if not video.path]
    if missing and len(missing) == len(found):
        raise FileNotFoundError(
            f"none of the {len(missing)} videos of {source} is in {request.root!r}, "
            f"for example {missing[0]!r}"
        )
    if listing.rule:
        logging.info("%s: %s", request.root, listing.rule)
    videos = [video for video in found if video.path]
    return Videos(videos, class_names, missing, dataset, listing.rule)


def _check_names(videos: Videos, request: Request) -> Videos:
    """Raises ValueError if lists have the classes in another order than that asked for."""
    if request.class_names not in (None, videos.class_names):
        raise ValueError(
            f"The lists of {request.root!r} tell the order of the classes: {videos.class_names}. "
            f"Received: class_names={request.class_names}"
        )
    return videos


def _way_out() -> str:
    utf8 = sys.getfilesystemencoding().lower() == "utf-8"
    return "Rename the class" if utf8 else "Set PYTHONUTF8=1, as this locale is not UTF-8"


def printable(name: str) -> str:
    """A name as one line of UTF-8 text, where control characters and lone bytes are escaped."""
    return _NOT_IN_A_LINE.sub(lambda match: match[0].encode("unicode_escape").decode(), name)
