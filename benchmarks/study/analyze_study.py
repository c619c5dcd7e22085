"""Tables and pictures of the study from its raw predictions, as PROTOCOL.md says.

    python benchmarks/study/analyze_study.py --data utd_mhad_depth --pictures docs
    python benchmarks/study/analyze_study.py --data utd_mhad_depth --seeds 0

Prints Markdown: each row's accuracy with its interval, differences from ratio 7/8 with interval and
p, accuracies by speed, and by class.
"""

import argparse
import csv
import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
REFERENCE, PRIMARY = "mtnet_7_8", "mtnet_1"
DRAWS, LARGEST_EXACT = 10_000, 12  # groups up to which all sign patterns are taken


class Runs:
    """The runs of one row: what was right, for each seed and group of test videos.

    `right[speed]` and `count` are float `(seeds, groups)`: how many videos were right, and how many
    there are; NaN where a seed lacks the fold of a group.
    """

    def __init__(self, files: list[Path], groups: list[str]):
        self.seeds = sorted({seed_of(file) for file in files})
        shape = len(self.seeds), len(groups)
        self.count = np.full(shape, np.nan)
        self.right: dict[str, np.ndarray] = defaultdict(lambda: np.full(shape, np.nan))
        self.classes: dict[str, list[bool]] = defaultdict(list)
        for file in files:
            lines = read(file)
            seed, speeds = self.seeds.index(seed_of(file)), list(lines[0])[3:]
            for group in {line["group"] for line in lines}:
                place = seed, groups.index(group)
                own = [line for line in lines if line["group"] == group]
                self.count[place] = len(own)
                for speed in speeds:
                    self.right[speed][place] = sum(line[speed] == line["label"] for line in own)
            for line in lines:
                self.classes[line["label"]].append(line["x1"] == line["label"])

    def accuracy(self, speed: str = "x1") -> float:
        return float(np.nansum(self.right[speed]) / np.nansum(self.count))


def interval(value, rows: list[Runs], seed: int = 0) -> tuple[float, float]:
    """95 %, drawing groups (the same for all rows) and seeds (of each row) with replacement.

    `value` is a function of, for each row, the drawn counts and right answers by speed.
    """
    rng = np.random.default_rng(seed)
    groups, values = rows[0].count.shape[1], []
    for _ in range(DRAWS):
        drawn = rng.integers(0, groups, groups)
        seeds = [rng.integers(0, len(row.seeds), len(row.seeds)) for row in rows]
        values.append(value([np.ix_(which, drawn) for which in seeds]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def accuracy_interval(row: Runs, speed: str = "x1") -> tuple[float, float]:
    return interval(lambda at: share(row, speed, at[0]), [row])


def difference_interval(a: Runs, b: Runs, speed: str = "x1") -> tuple[float, float]:
    return interval(lambda at: share(a, speed, at[0]) - share(b, speed, at[1]), [a, b])


def share(row: Runs, speed: str, place: tuple) -> float:
    return float(np.nansum(row.right[speed][place]) / np.nansum(row.count[place]))


def paired_p(a: Runs, b: Runs, speed: str = "x1", seed: int = 0) -> float:
    """Two-sided sign-flip test over groups of the differences of the mean over seeds."""
    of = [np.nanmean(row.right[speed] / row.count, axis=0) for row in (a, b)]
    return sign_flip_p(of[0] - of[1], seed)


def sign_flip_p(differences: np.ndarray, seed: int = 0) -> float:
    """The share of sign patterns whose mean is as far from 0 as that of `differences`.

    >>> sign_flip_p(np.array([1.0, 2.0, 3.0]))  # 2 of 8 patterns
    0.25
    """
    differences = differences[~np.isnan(differences)]
    if len(differences) <= LARGEST_EXACT:
        signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    else:
        signs = np.random.default_rng(seed).choice((1, -1), (DRAWS, len(differences)))
        signs[0] = 1  # the pattern that was seen is one of them
    means = np.abs(signs @ differences)
    return float((means >= np.abs(differences.sum()) - 1e-12).mean())


def holm(ps: dict[str, float]) -> dict[str, float]:
    """Corrected p of several comparisons.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(ps) - rank)))
        corrected[name] = largest
    return corrected


# --- Reading and printing -------------------------------------------------------------------------


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seed_of(file: Path) -> int:
    return int(file.stem.rpartition("_seed")[2])


def read_rows(folder: Path, seeds: Sequence[int] = ()) -> dict[str, Runs]:
    """The rows that have runs, in alphabetical order; of these seeds where some are given."""
    files: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("*_fold*_seed*.csv")):
        if not file.stem.endswith("_history") and (not seeds or seed_of(file) in seeds):
            files[file.stem.split("_fold")[0]].append(file)
    groups = sorted({line["group"] for own in files.values() for f in own for line in read(f)})
    return {row: Runs(own, groups) for row, own in files.items()}


def report(folder: Path, seeds: Sequence[int] = ()) -> str:
    """All tables as Markdown."""
    rows, runs = read_rows(folder, seeds), read(folder / "runs.csv")
    runs = [line for line in runs if not seeds or int(line["seed"]) in seeds]
    costs, train = {line["row"]: line for line in runs}, defaultdict(list)
    for line in runs:
        train[line["row"]].append(float(line["train_accuracy"]))
    text = ["| row | parameters | multiply-adds | seeds | training | top-1 | 95 % |"]
    text.append("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        low, high = accuracy_interval(row)
        size, macs = int(costs[name]["params"]), int(costs[name]["macs"])
        text.append(
            f"| {name} | {size / 1e6:.2f} M | {macs / 1e6:.0f} M | {len(row.seeds)} | "
            f"{np.mean(train[name]):.3f} | {row.accuracy():.3f} | {low:.3f} to {high:.3f} |"
        )
    others = [name for name in rows if name != REFERENCE] if REFERENCE in rows else []
    ps = {name: paired_p(rows[REFERENCE], rows[name]) for name in others}
    fixed = holm({name: p for name, p in ps.items() if name != PRIMARY})
    text += ["", f"| {REFERENCE} less | difference | 95 % | p | p, Holm |", "|---|---|---|---|---|"]
    for name in others:
        difference = rows[REFERENCE].accuracy() - rows[name].accuracy()
        low, high = difference_interval(rows[REFERENCE], rows[name])
        last = "primary" if name == PRIMARY else f"{fixed[name]:.3f}"
        line = (
            f"| {name} | {difference:+.3f} | {low:+.3f} to {high:+.3f} | {ps[name]:.3f} | {last} |"
        )
        text.append(line)
    speeds = list(next(iter(rows.values())).right)
    text += ["", f"| row | {' | '.join(speeds)} |", "|---|" + "---|" * len(speeds)]
    for name, row in rows.items():
        text.append(f"| {name} | {' | '.join(f'{row.accuracy(s):.3f}' for s in speeds)} |")
    text += ["", f"| class | {' | '.join(rows)} |", "|---|" + "---|" * len(rows)]
    for label in sorted(next(iter(rows.values())).classes):
        shares = (f"{np.mean(row.classes[label]):.2f}" for row in rows.values())
        text.append(f"| {label} | {' | '.join(shares)} |")
    return "\n".join(text)


def draw(folder: Path, output: Path) -> None:
    """Accuracy against multiply-adds, and curves of training."""
    from matplotlib.figure import Figure

    rows, costs = read_rows(folder), {line["row"]: line for line in read(folder / "runs.csv")}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, row in rows.items():
        low, high = accuracy_interval(row)
        middle, macs = row.accuracy(), int(costs[name]["macs"]) / 1e6
        error = [[middle - low], [high - middle]]
        left.errorbar(macs, middle, yerr=error, marker="o", label=name, capsize=3)
        files = sorted(folder.glob(f"{name}_fold*_history.csv"))
        curves = [[float(line["accuracy"]) for line in read(file)] for file in files]
        if curves:
            right.plot(np.mean([c[: min(map(len, curves))] for c in curves], axis=0), label=name)
    left.set(xlabel="multiply-adds of a clip, millions", ylabel="top-1, 95 % over subjects")
    right.set(xlabel="epoch", ylabel="training accuracy")
    right.legend(fontsize=7)
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / f"study_{folder.name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--results", default=HERE / "results", help="folder of the tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=(), help="of the tables; all")
    parser.add_argument("--pictures", help="folder to draw to")
    arguments = parser.parse_args()
    folder = Path(arguments.results) / arguments.data
    print(report(folder, arguments.seeds))
    if arguments.pictures:
        draw(folder, Path(arguments.pictures))


if __name__ == "__main__":
    main()
