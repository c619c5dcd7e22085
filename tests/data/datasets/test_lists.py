"""Fields and lines of lists: what is taken, and how the rest is refused."""

import pytest

from keras_mtnet.data.datasets import lists
from keras_mtnet.data.datasets.lists import Line

HERE = Line("list.csv", 7, "")


@pytest.mark.parametrize(
    "text, path",
    [
        ("a/b.mp4", "a/b.mp4"),
        ("a\\b.mp4", "a/b.mp4"),
        ("./a//b.mp4", "a/b.mp4"),
        ("..a/b", "..a/b"),
    ],
)
def test_paths_below_the_root(text, path):
    assert lists.relative_path(HERE, text) == path


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "\\share\\a", "C:\\a.mp4", "c:a", "../a", "a/../../b", "a/..", "", "a\0b"],
)
def test_paths_that_leave_the_root_are_refused_with_their_line(text):
    with pytest.raises(
        ValueError, match=r"^list\.csv, line 7: .*(leaves the root|expected a path)"
    ):
        lists.relative_path(HERE, text)


@pytest.mark.parametrize(
    "start, end, expected",
    [
        ("1.5", "3", (1.5, 3.0)),
        ("", "3", (None, 3.0)),
        ("2", "", (2.0, None)),
        ("", "", (None,) * 2),
    ],
)
def test_seconds(start, end, expected):
    assert lists.seconds(HERE, start, end) == expected


@pytest.mark.parametrize(
    "start, end",
    [
        ("3", "3"),
        ("4", "3"),
        ("-1", "3"),
        ("", "0"),
        ("x", "3"),
        ("nan", "3"),
        ("1", "nan"),
        ("inf", ""),
        ("1", "inf"),
        ("0:10", "0:20"),
    ],
)
def test_wrong_seconds_are_refused_with_their_line(start, end):
    with pytest.raises(ValueError, match=r"^list\.csv, line 7: expected .*Received"):
        lists.seconds(HERE, start, end)


@pytest.mark.parametrize(
    "start, end, name",
    [(None, None, "a"), (0.0, 2.0, "a 0-2 s"), (1.5, None, "a 1.5- s"), (None, 3.0, "a -3 s")],
)
def test_names_of_parts(start, end, name):
    assert lists.part_name("a", start, end) == name
    assert lists.part_name("a", 12345.678, 12345.679) == "a 12345.678-12345.679 s"


def test_tables_are_read_by_their_heading(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('\ufeffb, a ,c\n1,"x, y",3\n\n4,5,6\n', encoding="utf-8")
    rows = [(str(line), row) for line, row in lists.read_table(str(path), ("a", "b"), ("z", "c"))]
    assert rows == [
        (f"{path}, line 2", ["x, y", "1", "", "3"]),
        (f"{path}, line 4", ["5", "4", "", "6"]),
    ]


def test_lines_of_tables_are_those_of_the_file(tmp_path):
    """A quoted field may hold a line break."""
    path = tmp_path / "a.csv"
    path.write_text('a,b\n"x\ny",2\n3,4\n')
    assert [line.number for line, _ in lists.read_table(str(path), ("a", "b"))] == [3, 4]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,c\n1,2\n", "line 1: expected the columns a,b"),
        ("a,b,a\n1,2,3\n", "line 1: expected the columns a,b"),
        ("a,b\n1,2\n1\n", "line 3: expected a,b. Received"),
        ("a,b\n1,2,3\n", "line 2: expected a,b. Received"),
        ('a,b\n1,"2\n', "line 2: unexpected end of data"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        list(lists.read_table(str(path), ("a", "b")))
    assert str(error.value).startswith(str(path))


def test_tables_that_are_not_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        list(lists.read_table(str(path), ("a", "b")))


def test_one_file_of_several_releases(tmp_path):
    assert lists.find_file(str(tmp_path), r"x\d\.csv") is None
    (tmp_path / "X1.csv").write_text("")
    assert lists.find_file(str(tmp_path), r"x\d\.csv") == str(tmp_path / "X1.csv")
    (tmp_path / "x2.csv").write_text("")
    with pytest.raises(ValueError, match=r"X1.csv and x2.csv: leave one"):
        lists.find_file(str(tmp_path), r"x\d\.csv")
