"""Plain class folders and how they are split."""

import pytest
from named_files import make

from keras_mtnet.data import read_split


def test_plain_folder(tmp_path):
    files = [f"{c}/{i}.{s}" for c in ("b", "a") for i, s in enumerate(("MP4", "avi", "mkv", "mov"))]
    root = make(tmp_path, [*files, "a/notes.txt", "a/.hidden.mp4", ".git/x.mp4", "readme.mp4"])
    make(tmp_path, ["b/frames/i_1.jpg", "b/frames/i_2.jpg"])
    everything = read_split("folder", root, subset="all")
    assert [v.name for v in everything] == sorted([*files, "b/frames"])
    assert [v.label for v in everything] == [0] * 4 + [1] * 5
    assert (everything.class_names, everything.stride) == (("a", "b"), 2)


def test_split_of_a_plain_folder(tmp_path):
    root = make(tmp_path, [f"{c}/{i:02d}.mp4" for c in "ab" for i in range(10)])

    def names(subset, **options):
        return {v.name for v in read_split("folder", root, subset=subset, **options)}

    for seed in range(5):
        train, test = names("train", split_seed=seed), names("test", split_seed=seed)
        assert not train & test and len(train | test) == 20
        assert [sum(name.startswith(c) for name in test) for c in "ab"] == [2, 2]
    assert names("test", split_seed=1) == names("test", split_seed=1) != names("test", split_seed=2)
    assert len(names("test", validation_split=0.5)) == 10
    assert len(names("test", validation_split=0.01)) == 2  # one of each class at least
    with pytest.raises(ValueError, match="validation_split"):
        names("test", validation_split=1.0)


def test_split_keeps_groups_together(tmp_path):
    root = make(
        tmp_path,
        [
            f"{c}/v_{c}_g{g:02d}_c{i:02d}.avi"
            for c in "ab"
            for g in range(1, 6)
            for i in range(1, 4)
        ],
    )
    seen = set()
    for seed in range(10):
        test = read_split("folder", root, subset="test", split_split_seed=seed)
        groups = {v.name[-11:-8] for v in test}
        assert len(groups) == 1 and len(test) == 6
        assert not groups & {
            v.name[-11:-8] for v in read_split("folder", root, split_split_seed=seed)
        }
        seen |= groups
    assert len(seen) > 1


def test_class_that_only_has_test_groups(tmp_path):
    names = ["a/v_a_g01_c01.avi", "b/v_b_g02_c01.avi"]
    with pytest.raises(ValueError, match="is left for training"):
        read_split("folder", make(tmp_path, names))


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "no class folder"),
        (["video.mp4"], "no class folder"),
        (["a/1.mp4"], "at least two classes. Received: 1"),
        (["a/1.mp4", "b/2.mp4", "c/notes.txt"], "c' holds no video"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        read_split("folder", make(tmp_path, names))
