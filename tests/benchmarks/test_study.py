"""The study of the prolonged branch: equal costs, controls without motion, statistics."""

import csv
import doctest
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

STUDY = Path(__file__).resolve().parents[2] / "benchmarks" / "study"
sys.path.insert(0, str(STUDY))
import analyze_study as analyze  # noqa: E402
import contenders  # noqa: E402
import study  # noqa: E402


@pytest.fixture(scope="module")
def costs():
    model = contenders.build("mtnet_7_8", 27)
    return {what: contenders.cost(model, what) for what in ("macs", "params")}


@pytest.mark.parametrize("row", sorted(contenders.WIDTHS))
def test_costs_are_equal(row, costs):
    what = row.rpartition("_")[2]
    own = contenders.cost(contenders.build(row, 27), what)
    assert own == pytest.approx(costs[what], rel=0.03)


def test_controls():
    clips = np.arange(2 * 16 * 3, dtype="float32").reshape(2, 16, 1, 1, 3)
    single = np.asarray(contenders.FrameControl("single_frame")(clips))
    np.testing.assert_array_equal(single, np.repeat(clips[:, 8:9], 16, axis=1))
    shuffled = np.asarray(contenders.FrameControl("shuffled")(clips))
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), clips)
    assert (shuffled != clips).any() and (shuffled[0] + 48 != shuffled[1]).any()


def test_a_row_runs_and_is_analyzed(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SPEEDS", (1.0, 2.0))
    monkeypatch.setattr(study, "VIEWS", 1)
    monkeypatch.setattr(contenders, "UNITS", 8)
    flags = ["--data", "utd_mhad_depth", "--root", str(drawn), "--row", "resnet3d_macs"]
    flags += ["--epochs", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["study.py", *flags])
    study.main()
    folder = tmp_path / "utd_mhad_depth"
    lines = analyze.read(folder / "resnet3d_macs_fold1_seed0.csv")
    assert len(lines) == 16 and set(lines[0]) == {"video", "group", "label", "x1", "x2"}
    (run,) = analyze.read(folder / "runs.csv")
    right = np.mean([line["x1"] == line["label"] for line in lines])
    assert float(run["top1"]) == pytest.approx(right, abs=1e-4)
    assert len(analyze.read(folder / "resnet3d_macs_fold1_seed0_history.csv")) == 1
    assert f"| {right:.3f} |" in analyze.report(folder)
    analyze.draw(folder, tmp_path)
    assert (tmp_path / "study_utd_mhad_depth.png").stat().st_size > 1000


def write(folder: Path, row: str, seed: int, shares: list[float]) -> None:
    """Predictions of 20 videos in each group, `shares` of them right."""
    with open(folder / f"{row}_fold1_seed{seed}.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video", "group", "label", "x1"])
        for group, share in enumerate(shares):
            for i in range(20):
                table.writerow(
                    [f"{group}/{i}", f"g{group}", "a", "a" if i < round(20 * share) else "b"]
                )


def test_statistics(tmp_path):
    """Differences that all groups share count, whatever the groups differ by."""
    levels = [0.1, 0.3, 0.5, 0.7, 0.9, 0.2, 0.4, 0.6]
    for seed in (0, 1):
        write(tmp_path, "mtnet_1", seed, levels)
        write(tmp_path, "mtnet_7_8", seed, [level + 0.1 for level in levels])
    rows = analyze.read_rows(tmp_path)
    better, plain = rows["mtnet_7_8"], rows["mtnet_1"]
    assert plain.accuracy() == pytest.approx(np.mean(levels))
    assert analyze.read_rows(tmp_path, seeds=[1])["mtnet_1"].seeds == [1]
    assert analyze.paired_p(better, plain) == 2 / 256
    low, high = analyze.difference_interval(better, plain)
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)
    low, high = analyze.accuracy_interval(plain)
    # Eight groups: the deviation of their mean is 0.25 / sqrt(8).
    assert high - low == pytest.approx(2 * 1.96 * np.std(levels) / 8**0.5, rel=0.1)
    assert doctest.testmod(analyze).failed == 0


def test_selection_sees_no_test_video(drawn, tmp_path, monkeypatch):
    """It trains and validates on other groups of the training list."""
    seen = {}

    def fit(arguments, videos, rate, epochs, history):
        seen["train"] = {video.name for video in videos}
        return (rate, epochs), 0.0

    def evaluate(model, videos, data, speed):
        seen["valid"] = {video.name for video in videos}
        rate, epochs = model
        return type("Result", (), {"top1": rate if epochs < 160 else 0.1})()

    monkeypatch.setattr(study, "fit", fit)
    monkeypatch.setattr(study, "evaluate", evaluate)
    flags = ["--data", "jhmdb", "--root", str(drawn), "--row", "shuffled", "--select"]
    monkeypatch.setattr(sys, "argv", ["study.py", *flags, "--output", str(tmp_path)])
    study.main()
    chosen = study.choices(tmp_path / "jhmdb")["shuffled"]
    assert (chosen["rate"], chosen["epochs"]) == (0.1, 40)
    listed = (drawn / "trainlist01.txt").read_text()
    assert all(name in listed for name in seen["train"] | seen["valid"])
    assert not seen["train"] & seen["valid"]
    keras.utils.clear_session()
