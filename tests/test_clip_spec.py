"""What a network knows of its clips, filled in and contradicted."""

import pytest

from keras_mtnet import ClipSpec


def test_merge_fills_in_what_is_not_known():
    spec = ClipSpec(frames=16, stride=2).merge(size=112, stride=2, fps=None, class_names=["a", "b"])
    assert spec == ClipSpec(16, 2, 112, class_names=("a", "b"))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"stride": 4}, r"trained with stride=2\. Received: stride=4"),
        (
            {"class_names": ["b", "a"]},
            r"class_names=\('a', 'b'\)\. Received: class_names=\('b', 'a'",
        ),
    ],
)
def test_a_contradiction_names_both(given, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(stride=2, class_names=("a", "b")).merge(**given)


def test_of_many_class_names_those_around_the_first_difference_are_shown():
    names = [str(n) for n in range(400)]
    with pytest.raises(ValueError) as error:
        ClipSpec(class_names=names).merge(class_names=[*names[:300], "x", *names[301:]])
    assert "(298 more, '298', '299', '300', '301', '302', '303', 96 more)." in str(error.value)
    assert "(298 more, '298', '299', 'x', '301', '302', '303', 96 more)" in str(error.value)
    with pytest.raises(
        ValueError, match=r"\(394 more, '394', .*'399'\)\. Received: .*'397', '398'\)"
    ):
        ClipSpec(class_names=names).merge(class_names=names[:-1])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"frames": 0}, "frames=0"),
        ({"fps": -1.0}, r"fps=-1\.0"),
        ({"sampling": "dense"}, "sampling='dense'"),
        ({"class_names": "jump"}, "class_names must be a list of names. .*class_names='jump'"),
    ],
)
def test_wrong_values(given, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(**given)
