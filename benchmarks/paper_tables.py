"""Tables I to VI of the paper beside the networks of this package.

    python benchmarks/paper_tables.py

writes docs/paper_tables.md and .csv. What the paper prints, and which network of ours stands beside
it, is in paper_printed.csv; here are the counts. Accuracies are those of published weights, by
whoever measured them; none is measured here.

`--latency 12` measures the forward and backward passes of Table VI(b) in 12 rounds, into
docs/paper_latency.csv, which the tables then show. Nothing else should run meanwhile.
"""

import argparse
import ast
import csv
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_mtnet as mt
from keras_mtnet.models.builder import BUILDERS

HERE = Path(__file__).parent
TOLERANCE = 0.02
TITLES = {
    "I": "Kinetics-400. Our copy of the paper has lost the multiply-adds of this table.",
    "II": "ways to convolve, on ResNet-50 and Kinetics-400",
    "III": "Moments in Time. Our copy has lost this table; what the text tells is here.",
    "IV": "Kinetics-700. Our copy has lost this table.",
    "V": "HACS. Our copy has lost the multiply-adds of this table. Parameters of other networks "
    "than MTNets are printed, and counted here, for 400 classes.",
    "VI(a)": "ratio of channels in the local branch, HACS",
    "VI(b)": "recurrent cells, HACS",
    "VI(c)": "pooling in front of the prolonged branch, HACS. Our copy has lost this table; the "
    "text tells gains, but not which is whose: read in the order of MTNetS, M, L.",
}
DATASETS = {"I": "Kinetics-400", "II": "Kinetics-400", "V": "HACS Clips"}
COLUMNS = (
    *("network", "setting", "top-1", "top-5", "published weights", "params, M", "here", "ratio"),
    *("GMACs", "here", "ratio", "clip", "built as", "reproduced"),
)
Row = dict[str, str]
Costs = tuple[float, float]  # parameters in millions, multiply-adds in 10^9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default="docs", help="folder of the tables")
    parser.add_argument("--only", help="tables to count again, as I,VI(b); others stay")
    parser.add_argument("--latency", type=int, metavar="ROUNDS", help="measure Table VI(b)")
    options = parser.parse_args()
    folder = Path(options.output)
    rows = read(HERE / "paper_printed.csv")
    again = options.only.split(",") if options.only else [*TITLES]
    stored = read(folder / "paper_tables.csv") if options.only else []
    filled = [row for row in stored if row["table"] not in again]
    latency = folder / "paper_latency.csv"
    if options.latency:
        measured = latencies([row for row in rows if row["forward"]], options.latency)
        write(latency, [*measured])
    for table in again:
        filled += [fill(row) for row in rows if row["table"] == table]
        filled.sort(key=lambda row: [*TITLES].index(row["table"]))
        write(folder / "paper_tables.csv", filled)
        text = markdown(filled, read(latency))
        (folder / "paper_tables.md").write_text(text, encoding="utf-8")
        print(f"Table {table}: {folder / 'paper_tables.md'}", flush=True)


def read(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# --- Counting -----------------------------------------------------------------------------------


def fill(row: Row) -> Row:
    """A printed row with what this package has beside it."""
    here = costs(row["model"], row["options"], row["surgery"], row["clip"])
    params, macs = here or (None, None)
    filled = {
        **row,
        "params_here": f"{params:.3f}" if here else "",
        "macs_here": f"{macs:.3f}" if here else "",
        "reproduced": verdict(row, here),
    }
    return {**filled, **published(row)}


def costs(model: str, options: str, surgery: str, clip: str) -> Costs | None:
    """Parameters in millions and multiply-adds of a clip in 10^9; None without such a network."""
    if model not in BUILDERS:
        return None
    frames, size = map(int, clip.split("x"))
    counted = mt.count_costs(shapes(model, options, surgery), (frames, size, size, 3))
    return counted.params / 1e6, counted.macs / 1e9


@functools.cache
def shapes(model: str, options: str, surgery: str) -> Any:
    """A network whose weights have shapes, but no values unless surgery must copy them."""
    import keras  # here: keras_mtnet must be imported first, see its __init__

    if surgery:
        return mt.to_mtconv(build(model, options), **arguments(surgery))
    with keras.StatelessScope(initialize_variables=False):
        return build(model, options)


def build(model: str, options: str, **more: Any) -> Any:
    return BUILDERS[model](**arguments(options), **more)


def arguments(text: str) -> dict[str, Any]:
    """`"classes=200, cell='gru'"` as a dict."""
    call: Any = ast.parse(f"f({text})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def verdict(row: Row, here: Costs | None) -> str:
    """Which printed figures are met within 2 %."""
    printed = {
        "parameters": number(row["params"]),
        "multiply-adds": number(row["gmacs"]) / int(row["unit"]),
    }
    known = {name: value for name, value in printed.items() if value}
    if here is None:
        return "not in this version"
    if not known:
        return "nothing printed"
    counted = dict(zip(printed, here, strict=True))
    met = [name for name, value in known.items() if abs(counted[name] / value - 1) <= TOLERANCE]
    if len(met) == len(known):
        return "yes" if len(known) == 2 else f"yes ({met[0]})"
    return f"{met[0]} only" if met else "no"


def number(text: str) -> float:
    return float(text or 0)


def published(row: Row) -> Row:
    """Accuracy of weights trained on the table's data set, and who measured it."""
    for preset in mt.list_presets(row["model"]):
        options = arguments(row["options"])
        same = all(options.get(key, value) == value for key, value in preset.options.items())
        same = same and not options.get("non_local")  # nobody publishes weights of those
        if preset.top1 and preset.dataset == DATASETS.get(row["table"]) and same:
            return {
                "published_top1": str(preset.top1),
                "published_top5": str(preset.top5 or ""),
                "published_by": preset.measured_by,
            }
    return {"published_top1": "", "published_top5": "", "published_by": ""}


# --- Latency ------------------------------------------------------------------------------------


def latencies(rows: list[Row], rounds: int) -> Iterator[Row]:
    """Milliseconds of a clip, forward and backward, the cells of a network in turns."""
    for network in dict.fromkeys(row["row"] for row in rows):
        group = [row for row in rows if row["row"] == network]
        passes = [(row, *timed_passes(row)) for row in group]
        times: dict[str, list[tuple[float, float]]] = {row["setting"]: [] for row in group}
        for _ in range(rounds):
            for row, forward, both in passes:
                alone = seconds(forward)
                times[row["setting"]].append((alone, seconds(both) - alone))
        for setting, pairs in times.items():
            forward, backward = (
                1000 * statistics.median(part) for part in zip(*pairs, strict=True)
            )
            yield {
                "row": network,
                "setting": setting,
                "forward": f"{forward:.1f}",
                "backward": f"{backward:.1f}",
            }


def timed_passes(row: Row) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The forward pass, and forward and backward pass, of one clip in training; warmed up."""
    import numpy as np
    import tensorflow as tf

    frames, size = map(int, row["clip"].split("x"))
    network = build(row["model"], row["options"], input_shape=(frames, size, size, 3))
    clip = tf.constant(
        np.random.default_rng(0).uniform(0, 255, (1, frames, size, size, 3)), "float32"
    )

    def loss() -> Any:
        return -tf.math.log(network(clip, training=True)[0, 0])

    def gradient() -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        # One number that needs all of them.
        return tf.linalg.global_norm(tape.gradient(value, network.trainable_variables))

    passes = tf.function(loss), tf.function(gradient)
    for function in passes:
        seconds(function)
    return passes


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    float(function())
    return time.perf_counter() - start


# --- Text ---------------------------------------------------------------------------------------

HEAD = """# The paper's tables

What the paper prints, beside the networks of this package. `make tables` writes this page and
[paper_tables.csv](paper_tables.csv), which has the same rows.

- **No accuracy of these tables has been measured with this package.** "published weights" are
  accuracies of weights that others trained, as their authors report them
  ([README](../README.md)); they are not always of the network that the row means.
- Parameters include the statistics of batch normalization. Multiply-adds (GMACs, 10^9) are those
  of one view, a clip of the given frames and pixels. The paper calls them FLOPs; where it counts
  two operations per multiply-add, "x 2" stands beside its figure.
- "reproduced" tells which of the printed costs are met within 2 %.
"""


def markdown(rows: list[Row], measured: list[Row]) -> str:
    """The page of all tables."""
    parts = [HEAD]
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        parts.append(f"## Table {table}: {TITLES[table]}\n")
        notes = [*dict.fromkeys(row["note"] for row in of_table if row["note"])]
        parts.append(grid(COLUMNS, [cells(row, notes) for row in of_table]))
        parts += [f"{i}. {note}" for i, note in enumerate(notes, 1)] + [""] * bool(notes)
        timed = [row for row in of_table if row["forward"]]
        if timed:
            parts.append(latency_text(timed, measured))
    return "\n".join(parts)


def grid(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cells(row: Row, notes: list[str]) -> list[str]:
    mark = f" ({notes.index(row['note']) + 1})" if row["note"] else ""
    weights = f"{row['published_top1']} / {row['published_top5']}" if row["published_top1"] else ""
    params, macs = number(row["params_here"]), number(row["macs_here"])
    printed = row["gmacs"]
    if row["unit"] == "2":
        printed = f"{number(row['gmacs']) / 2:.1f} x 2"
    network = f"{row['model']}({row['options']})" if row["options"] else row["model"]
    network = f"to_mtconv({network})" if row["surgery"] else network
    return [
        *(row["row"] + mark, row["setting"], row["top1"], row["top5"], weights),
        *(row["params"], row["params_here"], ratio(params, number(row["params"]))),
        *(printed, row["macs_here"], ratio(macs, number(row["gmacs"]) / int(row["unit"]))),
        *(row["clip"], f"`{network}`", row["reproduced"]),
    ]


def ratio(here: float, printed: float) -> str:
    return f"{here / printed:.2f}" if here and printed else ""


def latency_text(rows: list[Row], measured: list[Row]) -> str:
    """Forward and backward passes as ratios to GRU: printed, and measured if they were."""
    columns = ("network", "cell", "forward", "backward", "forward here", "backward here")
    times = {(row["row"], row["setting"]): row for row in measured}
    lines = []
    for row in rows:
        line = [row["row"], row["setting"]]
        for source in ({(r["row"], r["setting"]): r for r in rows}, times):
            own = source.get((row["row"], row["setting"]))
            gru = source.get((row["row"], "GRU"))
            for kind in ("forward", "backward"):
                line.append(ratio(number(own[kind]), number(gru[kind])) if own and gru else "")
        lines.append(line)
    text = (
        "Latency of one clip in training, as a ratio to GRU. The paper does not name its device; "
        "here two CPU cores: `python benchmarks/paper_tables.py --latency 12`."
    )
    return f"{text}\n\n{grid(columns, lines)}"


if __name__ == "__main__":
    main()
