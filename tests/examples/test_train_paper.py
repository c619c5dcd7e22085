"""The runs of the paper in small: HACS from its list, then Moments from the weights of that run."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_paper.py"
NARROW = ["--model=MTNet", "--stage_filters=8", "--stage_depths=1", "--frames=4", "--size=32"]
NARROW += ["--batch_size=8", "--epochs=1", "--nomultigrid", "--precision=float32"]
NARROW += ["--warmup_steps=0"]


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    try:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    return 0


def write_hacs(root: Path, drawn: Path) -> Path:
    """Drawn videos as HACS has them; the first of each class is for validation."""
    root.mkdir()
    rows = ["classname,youtube_id,subset,start,end,label"]
    for number, video in enumerate(sorted(drawn.glob("*/*.mp4"))):
        name = f"drawn{number:06d}"
        shutil.copy(video, root / f"v_{name}.mp4")
        subset = "validation" if number % 3 == 0 else "training"
        rows.append(f"{video.parent.name},{name},{subset},0.0,1.2,1")
    (root / "HACS_clips_v1.1.1.csv").write_text("\n".join(rows) + "\n")
    return root


def write_moments(root: Path, drawn: Path) -> Path:
    """The same as Moments in Time."""
    lists = root / "annotations"
    lists.mkdir(parents=True)
    classes = sorted(path.name for path in drawn.iterdir() if path.is_dir())
    for subset, file in (("training", "trainingSet.csv"), ("validation", "validationSet.csv")):
        rows = []
        for name in classes:
            (root / subset / name).mkdir(parents=True)
            video = sorted((drawn / name).glob("*.mp4"))[subset == "validation"]
            shutil.copy(video, root / subset / name)
            rows.append(f"{name}/{video.name},{name},3,0")
        (lists / file).write_text("\n".join(rows) + "\n")
    numbers = [f"{name},{number}" for number, name in enumerate(classes)]
    (lists / "moments_categories.txt").write_text("\n".join(numbers) + "\n")
    return root


def test_hacs_then_moments(drawn, tmp_path, monkeypatch, capfd):
    import keras_mtnet as mt

    hacs = write_hacs(tmp_path / "HACS", drawn)
    first = run(monkeypatch, "hacs", "--root", hacs, "--output", tmp_path / "hacs", *NARROW)
    assert first == 0, capfd.readouterr().err[-3000:]
    moments = write_moments(tmp_path / "MIT", drawn)
    flags = ["--weights", tmp_path / "hacs", *NARROW]
    second = run(monkeypatch, "moments", "--root", moments, "--output", tmp_path / "mit", *flags)
    assert second == 0, capfd.readouterr().err[-3000:]
    strides = [
        mt.load_model(tmp_path / run / "model.keras").clip_spec.stride for run in ("hacs", "mit")
    ]
    assert strides == [2, 3]


def test_cost(monkeypatch, capsys):
    """Steps and days of Kinetics-400 without multigrid by hand."""
    assert run(monkeypatch, "cost", "--clips_per_second=50") == 0
    line = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("kinetics4"))
    assert float(line.split()[-1]) == pytest.approx(130 * 240_000 / 50 / 86400, abs=0.06)


def test_usage(monkeypatch, capsys):
    assert run(monkeypatch, "k400") == 2
    assert "train_paper.py cost" in capsys.readouterr().out
