import pytest

from keras_mtnet.files import check_new_folder, write_beside, write_text


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")
    with write_beside(path) as beside:
        assert beside.parent == tmp_path and beside.name.endswith(".weights.h5")
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True])
def test_a_failure_leaves_the_old_and_no_rest(tmp_path, folder):
    path = tmp_path / "a"
    if not folder:
        path.write_text("old")
    with pytest.raises(RuntimeError), write_beside(path) as beside:
        if folder:
            beside.mkdir()
            (beside / "part").write_text("new")
        else:
            beside.write_text("new")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ([] if folder else ["a"])
    assert folder or path.read_text() == "old"


def test_a_folder_appears_whole(tmp_path):
    with write_beside(tmp_path / "new") as beside:
        beside.mkdir()
        (beside / "x").write_text("1")
    write_text(tmp_path / "new" / "y", "ü")
    assert (tmp_path / "new" / "x").read_text() == "1"
    assert (tmp_path / "new" / "y").read_text(encoding="utf-8") == "ü"


def test_new_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    for free in ("empty", "new", "new/deep"):
        assert check_new_folder(tmp_path / free, "a run") == tmp_path / free
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty"]
    (tmp_path / "file").write_text("")
    for taken, message in ((tmp_path, "not empty"), (tmp_path / "file", "is a file")):
        with pytest.raises(FileExistsError, match=message):
            check_new_folder(taken, "a run")
    with pytest.raises(PermissionError, match="cannot be made"):
        check_new_folder(tmp_path / "file" / "run", "a run")
