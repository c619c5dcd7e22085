"""The paper's tables: printed rows that name networks as they are, verdicts, and the page."""

import csv
import inspect
from pathlib import Path

import pytest

from keras_mtnet.models.builder import BUILDERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    import paper_tables

    yield paper_tables
    patch.undo()


@pytest.fixture(scope="module")
def printed(tables):
    return tables.read(tables.HERE / "paper_printed.csv")


def test_printed_rows(tables, printed):
    assert [*dict.fromkeys(row["table"] for row in printed)] == [*tables.TITLES]
    for row in printed:
        for column in ("top1", "top5", "gmacs", "params", "forward", "backward"):
            assert tables.number(row[column]) >= 0
        assert row["unit"] in ("1", "2")
        frames, size = map(int, row["clip"].split("x"))
        assert 4 <= frames <= 64 and 112 <= size <= 356
        options = tables.arguments(row["options"])
        if row["model"] in BUILDERS:
            assert options.keys() <= inspect.signature(BUILDERS[row["model"]]).parameters.keys()


def test_the_page_is_in_step(tables, printed):
    """`make tables` was run since rows or networks changed."""
    stored = tables.read(ROOT / "docs" / "paper_tables.csv")
    counted = {row["table"] for row in stored}
    expected = [row for row in printed if row["table"] in counted]
    assert [{column: row[column] for column in printed[0]} for row in stored] == expected
    for row in stored:
        assert not row["params_here"] or row["model"] in BUILDERS, row["model"]
    pages = tables.read(ROOT / "docs" / "paper_latency.csv")
    page = (ROOT / "docs" / "paper_tables.md").read_text(encoding="utf-8")
    assert page == tables.markdown(stored, pages)


def test_costs_of_table_ii_are_not_those_of_the_paper(tables):
    """The row of MTConv, with what the network and its MTConvs really have."""
    rows = tables.read(ROOT / "docs" / "paper_tables.csv")
    row = next(row for row in rows if row["table"] == "II" and row["row"] == "MTConv")
    if row["model"] in BUILDERS:
        assert row["reproduced"] == "no"
        assert tables.number(row["macs_here"]) == pytest.approx(22.05, abs=0.005)
        assert tables.number(row["params_here"]) == pytest.approx(29.47, abs=0.01)


ROW = {
    **dict.fromkeys(("row", "setting", "top1", "top5", "forward", "backward", "note"), ""),
    **{"table": "I", "row": "Net", "params": "10", "gmacs": "8", "unit": "1"},
    **{"model": "MTNet", "options": "stage_filters=(8,), stage_depths=(1,), classes=2"},
    **{"surgery": "", "clip": "4x32"},
}


@pytest.mark.parametrize(
    "changes, here, expected",
    [
        ({}, (10.1, 7.9), "yes"),
        ({}, (10.1, 4.0), "parameters only"),
        ({}, (8.0, 8.0), "multiply-adds only"),
        ({"unit": "2"}, (10.1, 4.0), "yes"),
        ({"gmacs": ""}, (10.1, 4.0), "yes (parameters)"),
        ({"gmacs": "", "params": ""}, (10.1, 4.0), "nothing printed"),
        ({}, (1.0, 1.0), "no"),
        ({}, None, "not in this version"),
    ],
)
def test_verdicts(tables, changes, here, expected):
    assert tables.verdict({**ROW, **changes}, here) == expected


def test_a_row_is_counted_and_written(tables, tmp_path):
    import keras_mtnet as mt

    row = {**ROW, "note": "Two networks.", "unit": "2", "forward": "58", "backward": "78"}
    rows = [
        tables.fill(row),
        tables.fill({**row, "setting": "GRU", "forward": "65", "backward": "80"}),
        tables.fill({**ROW, "model": "Unknown"}),
    ]
    network = mt.MTNet((8,), (1,), classes=2)
    costs = mt.count_costs(network, (4, 32, 32, 3))
    assert float(rows[0]["params_here"]) == pytest.approx(costs.params / 1e6, abs=5e-4)
    assert rows[2]["reproduced"] == "not in this version"
    tables.write(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [*csv.DictReader(file)] == rows
    page = tables.markdown(rows, [])
    assert "| Net (1) |" in page and "\n1. Two networks.\n" in page and "| 4.0 x 2 |" in page
    assert "| Net | GRU | 1.00 | 1.00 |  |  |" in page
    assert "| Net |  | 0.89 | 0.97 |  |  |" in page


def test_latencies_take_turns(tables):
    rows = [
        {**ROW, "setting": cell, "options": f"{ROW['options']}, cell='{cell}'"}
        for cell in ("rnn", "gru")
    ]
    measured = [*tables.latencies(rows, rounds=1)]
    assert [(row["row"], row["setting"]) for row in measured] == [("Net", "rnn"), ("Net", "gru")]
    assert all(float(row["forward"]) > 0 for row in measured)
