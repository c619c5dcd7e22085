"""`keras-mtnet train`: recipes, flags, resuming; what it refuses."""

from command_line import TRAIN, run


def test_flags_override_the_recipe(capfd, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("keras_mtnet.training.run.train", lambda *a, **k: seen.append((a, k)))
    monkeypatch.setattr("keras_mtnet.training.train", None, raising=False)
    monkeypatch.delattr("keras_mtnet.training.train")
    status, _, err = run(
        *(capfd, "train", "--recipe", "ucf101", "--root", "UCF-101", "--output", "o"),
        *("--epochs", 3, "--ratio", "3/4", "--multigrid", "--logical_cpus", 2),
    )
    assert status == 0, err
    ((recipe,), keywords) = seen[0]
    assert (recipe.data, recipe.model, recipe.backbone_lr_multiplier) == ("ucf101", "MTNetM", 0.1)
    assert (recipe.epochs, recipe.ratio, recipe.multigrid) == (3, 0.75, True)
    assert keywords == {"resume": False, "logical_cpus": 2}


def test_resume_takes_the_recipe_of_the_run(trained, drawn, capfd):
    """Nothing but the folder is needed, and flags that say otherwise are refused."""
    status, out, err = run(capfd, "train", "--resume", "--output", trained)
    assert (status, err) == (0, "") and "finished already" in out
    status, _, err = run(capfd, "train", "--resume", "--output", trained, "--batch_size", 3)
    assert status == 1 and "cannot continue: batch_size was " in err


def test_dry_run(drawn, tmp_path, capfd):
    output = ("--root", drawn, "--output", tmp_path / "run")
    status, out, err = run(capfd, *TRAIN, *output, "--dry_run", "--multigrid", "--epochs", 5)
    assert (status, err) == (0, "")
    assert '"multigrid": true' in out and "rate x" in out and "A step takes" in out
    assert [path.name for path in tmp_path.iterdir()] == ["run_schedule.png"]


def test_bad_data_and_output(trained, drawn, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "only").mkdir(parents=True)
    (tmp_path / "one" / "only" / "a.mp4").write_text("not a video")
    (tmp_path / "file").write_text("")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    cases = [
        ("no class folder", {"--root": tmp_path / "empty"}),
        ("at least two classes", {"--root": tmp_path / "one"}),
        ("cannot be made", {"--output": tmp_path / "file" / "run"}),
        ("not empty; nothing in it was touched", {"--output": trained}),
        ("ratio must be in (0, 1]. Received: ratio=1.5", {"--ratio": 1.5}),
        ("epochs must be an integer of at least 1", {"--epochs": 0}),
        ("cell must be one of", {"--cell": "transformer"}),
    ]
    for message, changes in cases:
        flags = {"--root": drawn, "--output": tmp_path / "run", **changes}
        status, out, err = run(capfd, *TRAIN, *(x for pair in flags.items() for x in pair))
        assert status == 1 and message in err, err
        assert err.startswith("keras-mtnet train: error: ") and err.count("\n") == 1, err
        assert out == ""
        assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_a_list_of_ones_own(trained, drawn, capfd, tmp_path):
    """Evaluates a run on parts of videos, and refuses a wrong list with its line."""
    names = [f"{path.parent.name}/{path.name}" for path in sorted(drawn.glob("*/*_g03_c01.*"))]
    rows = [f"{name},{name.split('/')[0]},0.2,1.2" for name in names]
    listed = tmp_path / "parts.csv"
    listed.write_text("\n".join(["path,label,start,end", *rows]) + "\n")
    place = ("--data", "csv", "--root", drawn, "--annotations", listed, "--subset", "all")
    views = ("--num_clips", 1, "--num_crops", 1)
    status, out, err = run(capfd, "evaluate", "--run", trained, *place, *views)
    assert status == 0, err
    assert "8 of 8 videos scored" in out
    listed.write_text(listed.read_text() + "../secret.mp4,Fall,,\n")
    status, out, err = run(capfd, "evaluate", "--run", trained, *place, *views)
    assert (status, err.count("\n")) == (1, 1) and out == ""
    assert f"{listed}, line 10: '../secret.mp4' leaves the root" in err
