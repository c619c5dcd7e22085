import csv

import numpy as np
import pytest

from keras_mtnet.evaluation.score_file import Row, ScoreFile

NAMES = ("jump", 'run, "fast"')
SETTINGS = {"weights": "1a", "num_clips": 10, "fps": None, "videos": "9f"}
ROWS = {
    "a.mp4": Row(np.array([1 / 3, 2 / 3], "float32"), ""),
    "b, c\n.mp4": Row(None, "no such file"),
    "d\u2028.mp4": Row(np.array([1e-30, 1], "float32"), "it ends after 3 frames"),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "scores.csv"
    with ScoreFile(path, SETTINGS, NAMES) as file:
        for name, row in ROWS.items():
            file.add(name, "jump", row)
            assert name in path.read_text().replace('""', '"')  # at once
    return path


def assert_equal(rows, expected):
    assert list(rows) == list(expected)
    for name, row in rows.items():
        assert row.note == expected[name].note
        np.testing.assert_array_equal(row.scores, expected[name].scores)


def test_rows_come_back_bit_by_bit(path):
    with ScoreFile(path, SETTINGS, NAMES) as file:
        assert_equal(file.rows, ROWS)
        file.add("e.mp4", "jump", ROWS["a.mp4"])
    with ScoreFile(path, SETTINGS, NAMES) as file:
        assert_equal(file.rows, {**ROWS, "e.mp4": ROWS["a.mp4"]})


def test_other_programs_read_it(path):
    with open(path, newline="") as file:
        assert file.readline().startswith('# keras-mtnet scores {"weights": "1a", ')
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == list(ROWS)
    assert float(rows[0][NAMES[1]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_row_that_was_cut_off_is_dropped(path, cut):
    """Wherever a kill leaves the file."""
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with ScoreFile(path, SETTINGS, NAMES) as file:
        assert list(file.rows) == list(ROWS)[:2]
        file.add("d\u2028.mp4", "jump", ROWS["d\u2028.mp4"])
    assert path.read_bytes() == content


def test_other_settings_are_named(path):
    before = path.read_bytes()
    for name, value, message in (
        ("num_clips", 1, r"\(num_clips was 10, now 1\)"),
        ("weights", "2b", r"\(other weights\)"),
        ("videos", "2b", r"\(other videos\)"),
        ("fps", 12.5, r"\(fps was null, now 12\.5\)"),
        ("stride", 2, r"\(stride was null, now 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ScoreFile(path, {**SETTINGS, name: value}, NAMES)
    with pytest.raises(ValueError, match="class_names was"):
        ScoreFile(path, SETTINGS, ("a", "b"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\xff\xfe", b"# keras-mtnet scores 5\n"])
def test_other_files_are_not_touched(tmp_path, content):
    path = tmp_path / "precious.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"precious\.csv is no file of scores; it was not touched"):
        ScoreFile(path, SETTINGS, NAMES)
    assert path.read_bytes() == content


def test_a_row_that_was_edited_is_named(path):
    path.write_text(path.read_text() + "f.mp4,jump,,0.5\n")
    with pytest.raises(ValueError, match=r"expected a video.*Received: f\.mp4,jump,,0\.5"):
        ScoreFile(path, SETTINGS, NAMES)
