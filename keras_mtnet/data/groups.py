"""Splits that keep all videos of one recording, or of one person, on one side.

Clips that were cut from one recording look alike. If some are trained on and others validated on,
the accuracy is that of recognizing recordings. What tells them apart is, first to last:

1. the name, in any case: `..._g07_c02.avi` as in UCF-101 (group 7), `<YouTube id>_000010_000020`,
   `person03_...` and its like (KTH), `S001C002P003R002A013` (NTU), `a27_s1_t1` (UTD-MHAD);
2. the first folder between class and file, as in `jump/subject03/a.mp4`, in all classes alike;
3. else every file is a group of its own.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from numbers import Real

from keras_mtnet.checks import check_integer

_PERSON = "person|people|subject|subj|actor|participant|patient|volunteer|user"
_NAMES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"_g(\d+)_c\d+(?!\d)",
        r"^S\d{3}C\d{3}P(\d{3})R\d{3}A\d{3}",
        r"(?:^|_)a\d+_s(\d+)_[te]\d+",
        rf"(?<![a-z])(?:{_PERSON})[ _-]?(\d+)",
        r"^(?:v_)?([\w-]{11})_\d{6}_\d{6}(?!\d)",
    )
)


def find_groups(files: Iterable[tuple[str, int]]) -> tuple[dict[str, str], str]:
    """The group of each file, and in words what decided.

    `files` are pairs of the path below the root, with forward slashes, and the label.

    >>> find_groups([("a/x_g1_c1.avi", 0), ("a/x_g1_c2.avi", 0), ("b/y.avi", 1)])[0]
    {'a/x_g1_c1.avi': 'group 1', 'a/x_g1_c2.avi': 'group 1', 'b/y.avi': 'b/y.avi'}
    """
    labels = defaultdict(set)
    for file, label in files:
        labels[file].add(label)
    folders = _folders(labels)
    groups = {}
    by_name = by_folder = 0
    for file in labels:
        name = file.rpartition("/")[2]
        told = next((match[1] for match in (p.search(name) for p in _NAMES) if match), None)
        if told is not None:
            groups[file] = f"group {int(told) if told.isdecimal() else told}"
            by_name += 1
        elif folders[file]:
            groups[file] = f"folder {folders[file][0].casefold()}"
            by_folder += 1
        else:
            groups[file] = file
    alone = len(groups) - by_name - by_folder
    told_by = [
        f"{count} of {len(groups)} files are grouped by {how}"
        for count, how in ((by_name, "their names"), (by_folder, "their folders"))
        if count
    ]
    if alone:
        told_by.append(f"{alone} by nothing, each a group of its own")
    return groups, f"{', '.join(told_by)}: {len(set(groups.values()))} groups"


def _folders(labels: dict[str, set[int]]) -> dict[str, Sequence[str]]:
    """The folders of each file that tell more than its class, and not the same of all files."""
    folders: dict[str, Sequence[str]] = {file: file.split("/")[:-1] for file in labels}
    while folders and all(folders.values()):
        classes: dict[str, set[int]] = defaultdict(set)
        for file, parts in folders.items():
            classes[parts[0]] |= labels[file]
        named = {label for known in classes.values() for label in known}
        one_each = all(len(known) == 1 for known in classes.values()) and len(classes) == len(named)
        if len(classes) > 1 and not one_each:
            break
        folders = {file: parts[1:] for file, parts in folders.items()}
    return folders


def check_share(validation_split: float) -> None:
    """Raises ValueError unless a share leaves something on both sides."""
    if not isinstance(validation_split, Real) or not 0 < validation_split < 1:
        raise ValueError(
            "validation_split must be between 0 and 1. "
            f"Received: validation_split={validation_split}"
        )


def choose_tests(
    files: Sequence[tuple[str, int]], validation_split: float, split_seed: int
) -> tuple[set[str], str]:
    """Chooses the files to validate on: whole groups, of each class about the share asked for.

    Of each class at least one file is left for training. `files` are as for `find_groups`. Returns
    the chosen ones, and in words how they were chosen.

    Raises:
        ValueError: for a share outside (0, 1), a seed that is no integer, or where no group can be
            spared.
    """
    check_integer(split_seed=split_seed)
    check_share(validation_split)
    groups, rule = find_groups(files)
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for file, label in dict.fromkeys(files):
        counts[groups[file]][label] += 1
    totals = sum(counts.values(), Counter())
    wanted = {label: max(1.0, validation_split * count) for label, count in totals.items()}
    order = sorted(counts)
    random.Random(split_seed).shuffle(order)
    taken: Counter[int] = Counter()
    chosen = set()
    for group in order:
        if any(taken[label] + n >= totals[label] for label, n in counts[group].items()):
            continue
        further = sum(
            ((taken[label] + n - wanted[label]) ** 2 - (taken[label] - wanted[label]) ** 2)
            / wanted[label] ** 2
            for label, n in counts[group].items()
        )
        if further <= 0:
            chosen.add(group)
            taken += counts[group]
    if not chosen:
        raise ValueError(
            f"No video can be kept for validation without leaving a class without training videos "
            f"({rule}). Add videos, or name the validation videos in a list."
        )
    share = sum(taken.values()) / sum(totals.values())
    return (
        {file for file, group in groups.items() if group in chosen},
        f"{rule}, of which {len(chosen)} with {share:.0%} of the files are for validation",
    )
