"""Splits that never leak: whatever the names, groups stay together."""

import re

import numpy as np
import pytest
from named_files import make

from keras_mtnet.data import read_split
from keras_mtnet.data.groups import choose_tests, find_groups


def sides(root, **options):
    """Names of the videos for training and for validation."""
    train, valid = (
        {v.name for v in read_split("folder", root, subset=subset, **options)}
        for subset in ("train", "validation")
    )
    assert not train & valid
    assert train | valid == {v.name for v in read_split("folder", root, subset="all")}
    return train, valid


def assert_apart(sides, group):
    train, valid = ({group(name) for name in side} for side in sides)
    assert train and valid and not train & valid


def test_files_without_groups_are_shared_out_by_class(tmp_path):
    root = make(tmp_path, [f"{c}/{i:02d}.mp4" for c in "ab" for i in range(10)])
    chosen = []
    for seed in range(5):
        _, valid = sides(root, split_seed=seed)
        assert [sum(name.startswith(c) for name in valid) for c in "ab"] == [2, 2]
        chosen.append(valid)
    assert sides(root, split_seed=1)[1] == chosen[1] != chosen[2]
    assert len(sides(root, validation_split=0.5)[1]) == 10
    assert len(sides(root, validation_split=0.01)[1]) == 2  # one of each class at least
    assert len(sides(root, validation_split=0.99)[0]) == 2
    for share in (0, 1.0, -1):
        with pytest.raises(
            ValueError, match=f"between 0 and 1. Received: validation_split={share}"
        ):
            sides(root, validation_split=share)


UCF = [f"{c}/v_{c}_g{g:02}_c{i:02}" for c in "ab" for g in range(1, 6) for i in range(1, 4)]


@pytest.mark.parametrize("suffix", [".avi", "/0001.jpg", ".MP4"])
def test_recordings_stay_together(tmp_path, suffix):
    """Files, and folders of frames."""
    root = make(tmp_path, [name + suffix for name in UCF])
    seen = set()
    for seed in range(10):
        both = sides(root, split_seed=seed)
        assert_apart(both, lambda name: re.search(r"_g(\d+)_", name)[1])
        assert len(both[1]) == 6
        seen |= both[1]
    assert len(seen) > 6


@pytest.mark.parametrize(
    "odd", ["a/v_a_g01_c01 (1)", "a/holiday", "a/v_a_g01", "b/Copy of v_b_g02_c03"]
)
def test_one_odd_name_does_not_switch_groups_off(tmp_path, odd):
    root = make(tmp_path, [f"{name}.avi" for name in (*UCF[1:], odd)])
    for seed in range(10):
        both = sides(root, split_seed=seed)
        told = [{name for name in side if re.search(r"_g\d+_c", name)} for side in both]
        assert_apart(told, lambda name: re.search(r"_g(\d+)_", name)[1])


def test_parts_of_one_youtube_video_stay_together(tmp_path):
    ids = ["abc-_efghij", "0123456789A", "zzzzzzzzzzz", "yyyyyyyyyyy"]
    root = make(
        tmp_path, [f"{c}/{i}_{t:06}_{t + 10:06}.mp4" for c in "ab" for i in ids for t in range(4)]
    )
    assert_apart(sides(root), lambda name: name[2:13])


@pytest.mark.parametrize(
    "name, person",
    [
        ("person{p:02}_{c}_d{k}_uncomp.avi", r"person(\d+)"),
        ("{c}-Subject {p} take{k}.mp4", r"Subject (\d+)"),
        ("S001C00{k}P00{p}R001A001.avi", r"P(\d+)"),
        ("a1_s{p}_t{k}_color.avi", r"_s(\d+)"),
        ("V_{c}_G{p}_C{k}.MP4", r"_G(\d+)"),
        ("{c}/PATIENT{p}_{k}/001.png", r"PATIENT(\d+)"),
    ],
)
def test_people_in_names_stay_together(tmp_path, name, person):
    files = [
        f"{c}/{name.format(c=c, p=p, k=k)}" for c in "xy" for p in range(1, 6) for k in range(3)
    ]
    root = make(tmp_path, files)
    for seed in range(5):
        assert_apart(sides(root, split_seed=seed), lambda name: re.search(person, name)[1])


def test_people_in_folders_stay_together_over_all_classes(tmp_path):
    files = [f"{c}/person{p}/{k}.mp4" for c in "abc" for p in range(6) for k in range(2)]
    root = make(tmp_path / "files", files)
    for seed in range(5):
        assert_apart(sides(root, split_seed=seed), lambda name: name.split("/")[1])
    with_frames = make(tmp_path / "frames", [f"{name}/0001.jpg" for name in files])
    assert_apart(sides(with_frames), lambda name: name.split("/")[1])
    shouted = make(tmp_path / "case", [name.replace("a/p", "a/P") for name in files])
    assert_apart(sides(shouted), lambda name: name.split("/")[1].lower())
    rule = read_split("folder", root).rule
    assert "36 of 36 files are grouped by their folders: 6 groups, of which 1" in rule


def test_a_folder_that_all_have_in_common_tells_nothing():
    files = [(f"{c}/videos/{k}.mp4", "ab".index(c)) for c in "ab" for k in range(5)]
    groups, how = find_groups(files)
    assert len(set(groups.values())) == 10 and "by nothing" in how


def test_folders_of_classes_are_not_taken_for_people():
    """Also where a list calls the classes by numbers."""
    files = [
        (f"all/{c}/{k}.mp4", label) for label, c in enumerate(("jump", "run")) for k in range(4)
    ]
    assert len(set(find_groups(files)[0].values())) == 8
    patients = [(f"patient{p}/{k}.mp4", p % 2) for p in range(8) for k in range(3)]
    assert len(set(find_groups(patients)[0].values())) == 8


def test_every_class_keeps_something_to_train_on():
    files = [("a/x_g1_c1.avi", 0), ("a/x_g2_c1.avi", 0), ("b/x_g1_c1.avi", 1), ("c/y.avi", 2)]
    for seed in range(5):
        tests, _ = choose_tests(files, 0.5, seed)
        assert tests == {"a/x_g2_c1.avi"}  # the only one that can be spared
    with pytest.raises(ValueError, match="without leaving a class without training videos"):
        choose_tests([("a/x_g1_c1.avi", 0), ("b/x_g2_c1.avi", 1)], 0.5, 0)


def test_shares_are_about_those_asked_for():
    rng = np.random.default_rng(0)
    files = [
        (f"{c}/v_g{g}_c{k}.avi", c)
        for c in range(20)
        for g in range(25)
        for k in range(rng.integers(4, 8))
    ]
    for share in (0.1, 0.2, 0.4):
        for seed in range(3):
            tests, _ = choose_tests(files, share, seed)
            assert abs(len(tests) / len(files) - share) < 0.05
            per_class = np.bincount([label for file, label in files if file in tests], minlength=20)
            assert per_class.min() > 0


def test_what_decides_does_not_depend_on_the_order_of_files():
    files = [(f"{c}/{k}.mp4", c) for c in range(3) for k in range(30)]
    assert choose_tests(files, 0.2, 4) == choose_tests(files[::-1], 0.2, 4)


def test_the_seed_of_clips_does_not_change_the_split(tmp_path):
    """Training and validation may be read with different seeds."""
    from keras_mtnet.data import video_dataset_from_directory

    root = make(tmp_path, [f"{c}/{i:02d}.mp4" for c in "ab" for i in range(10)])
    options = {"validation_split": 0.3, "batch_size": 20, "verbose": False}
    named = []
    for seed, subset in enumerate(("training", "validation", "validation")):
        data = video_dataset_from_directory(root, seed=seed, subset=subset, **options)
        named.append({name for step in range(len(data)) for name in data.batch_names(0, step)})
    assert not named[0] & named[1] and len(named[0] | named[1]) == 20 and named[1] == named[2]
    with pytest.raises(TypeError):
        read_split("folder", root, seed=3)
