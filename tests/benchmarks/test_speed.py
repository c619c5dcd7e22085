"""The speed benchmark runs, says what it could not run, and computes what it says."""

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_mtnet as mt

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_quick_inference(tmp_path):
    file = tmp_path / "speed.json"
    flags = ["--quick", "--only", "inference", "--repeats", "3", "--json", file]
    command = [sys.executable, BENCHMARKS / "speed.py", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert result["machine"]["cores"] >= 1
    rows = {row["contender"]: row for row in result["rows"]}
    assert list(rows) == [
        "ours, ratio 7/8",
        "ours, ratio 1",
        "ours, bare products",
        "authors, PyTorch",
        "X3D-M, PyTorch",
    ]
    assert all(name in done.stdout for name in rows)
    ours, plain, bare, authors, _ = rows.values()
    for row in (ours, plain, bare):
        assert len(row["seconds"]) == 3 and min(row["seconds"]) > 0 and row["memory_mb"] > 0
        assert row["median"] == statistics.median(row["seconds"])
        pairs = zip(row["seconds"], ours["seconds"], strict=True)
        assert row["ratio"] == statistics.median(a / b for a, b in pairs)
    assert ours["macs"] == bare["macs"] < plain["macs"]
    assert authors["median"] is None and authors["note"].startswith("not measured: ")


def test_bare_products_are_the_networks():
    """Their multiply-adds are those of the network, but for the recurrent product of frame 1."""
    from speed_contenders.ours import products

    model = mt.MTNet((16, 24), (2, 1), input_shape=(8, 32, 32, 3), stem_filters=16, classes=7)
    macs = 0
    for product in products(model, batch=1):
        result = product.run(keras.ops.ones(product.shape))
        outputs = math.prod(result.shape)
        depthwise = product.kernel.shape[-1] == 1
        macs += outputs * math.prod(product.kernel.shape[: 1 if depthwise else -1])
    first_frames = sum(2 * c * 3 * c for c in (16, 16, 24))
    assert macs == mt.count_costs(model).macs - first_frames


def test_power_of_a_power_law():
    from speed import power

    lengths = [8, 16, 32, 64]
    assert power(lengths, [3 * n**1.25 for n in lengths]) == pytest.approx(1.25)


def test_kernels_of_jax_add_up():
    from speed import parse
    from speed_contenders.choices import contender
    from speed_contenders.scripts import shares_of

    of = contender(parse(["--quick"]), "ours", "inference", 1, (8, 64, 64), backend="jax")
    *shares, clock = (float(row.note.rstrip("%")) for row in shares_of("kernels", of, "kernels"))
    assert len(shares) > 2 and sum(shares) == pytest.approx(100, abs=1)
    assert clock > 0


def test_kinds_of_kernels():
    from speed_contenders.kernels import kind, shares

    assert kind("void cutlass::Kernel<f, 128>(Params)") == "cutlass::Kernel"
    assert kind("loop_add_fusion_3") == kind("loop_add_fusion.12") == "loop_add_fusion"
    assert kind("aten::mul") == "aten::mul"
    found = shares({"a": 30.0, "b": 69.5, "c": 0.5})
    assert list(found) == ["b", "a", "others"] and found["others"] == pytest.approx(0.005)


def test_a_contender_that_fails_leaves_the_others():
    from speed import parse
    from speed_contenders.turns import Failed, Row, run_rounds, table

    times = {"a": iter([9.0, 1.0, 2.0, 4.0]), "b": iter([9.0, 3.0])}

    def run(name):
        for seconds in times[name]:
            return seconds
        raise Failed("out of memory")

    rows = {name: Row("inference", name) for name in times}
    options = parse(["--repeats", "3"])
    finished = run_rounds(rows, {n: lambda n=n: run(n) for n in times}, options, warm_up=1)
    assert finished == ["a"] and rows["a"].seconds == [1.0, 2.0, 4.0] and rows["a"].ratio == 1
    assert rows["b"].median is None and "not measured: out of memory" in table([*rows.values()])


def test_nothing_is_waited_for_without_end():
    from speed_contenders.scripts import last_line
    from speed_contenders.turns import Failed

    with pytest.raises(Failed, match=r"no answer within 0\.2 seconds"):
        last_line("import time; time.sleep(60)", "tensorflow", seconds=0.2)


def test_importing_loads_no_framework():
    code = (
        "import sys, speed, speed_contenders.turns\n"
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'torch', 'jax')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS).returncode == 0
