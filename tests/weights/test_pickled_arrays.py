"""Tests of reading pickled arrays without executing anything."""

import os
import pickle

import numpy as np
import pytest

from keras_mtnet.weights.pickled_arrays import read_pickled_arrays

TREE = {
    "params": {"conv": {"kernel": np.arange(24, dtype="float32").reshape(2, 3, 4)}},
    "stats": {"mean": np.linspace(0, 1, 300), "half": np.ones((), "float16")},
}


def dumped(content, protocol=4):
    return pickle.dumps(content, protocol=protocol)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_arrays_are_those_that_were_pickled():
    arrays = read_pickled_arrays(dumped(TREE), "file")
    assert list(sorted(arrays)) == ["params/conv/kernel", "stats/half", "stats/mean"]
    np.testing.assert_array_equal(arrays["params/conv/kernel"], TREE["params"]["conv"]["kernel"])
    np.testing.assert_array_equal(arrays["stats/mean"], TREE["stats"]["mean"])
    assert arrays["stats/half"].dtype == "float16" and arrays["stats/half"].shape == ()


def test_columns_first_and_big_endian():
    columns = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    arrays = read_pickled_arrays(dumped({"a": columns, "b": np.ones(3, ">f4")}), "file")
    np.testing.assert_array_equal(arrays["a"], columns)
    np.testing.assert_array_equal(arrays["b"], np.ones(3))


def test_files_of_older_numpy():
    data = dumped({"a": np.ones(2)})
    module = b"numpy._core.multiarray"
    old = data.replace(bytes([len(module)]) + module, b"\x15numpy.core.multiarray")
    assert old != data and len(old) == len(data) - 1
    frame = int.from_bytes(data[3:11], "little")
    old = old[:3] + (frame - 1).to_bytes(8, "little") + old[11:]
    np.testing.assert_array_equal(read_pickled_arrays(old, "file")["a"], np.ones(2))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("function", [os.system, eval, exec, open, os.remove])
def test_calls_are_refused_and_not_made(tmp_path, function, protocol):
    marker = tmp_path / "marker"
    marker.touch()
    argument = {
        os.system: f"rm {marker}",
        eval: f"__import__('os').remove({str(marker)!r})",
        exec: f"import os; os.remove({str(marker)!r})",
        open: str(tmp_path / "new"),
        os.remove: str(marker),
    }[function]
    extra = ("w",) if function is open else ()
    harmful = dumped({**TREE, "x": Calls(function, argument, *extra)}, protocol)
    with pytest.raises(ValueError, match=r"bad\.ckpt .*nothing in it was executed"):
        read_pickled_arrays(harmful, "bad.ckpt")
    assert marker.exists() and not (tmp_path / "new").exists()


def test_the_reason_names_what_a_pickle_asks_for():
    with pytest.raises(ValueError, match=r"asks for posix\.system|asks for nt\.system"):
        read_pickled_arrays(dumped({"x": Calls(os.system, "true")}), "bad")


@pytest.mark.parametrize("function", [np.load, np.fromfile, np.frombuffer, np.empty])
def test_other_functions_of_numpy_are_refused(function):
    with pytest.raises(ValueError, match="asks for numpy"):
        read_pickled_arrays(dumped({"x": Calls(function, "a")}), "bad")


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.array([object()])},
        {"a": np.arange(3)},
        {"a": np.array(["text"])},
        {"a": np.zeros(2, [("x", "f4")])},
        {"a": 1},
        {"a": None},
        {"a": (np.ones(1),)},
        [np.ones(1)],
        np.float32(1),
        "text",
        {},
        {"a": {}},
        {"a/b": np.ones(1), "a": {"b": np.ones(1)}},
    ],
)
def test_whatever_is_no_array_of_floats_is_refused(content):
    with pytest.raises(ValueError, match="bad"):
        read_pickled_arrays(dumped(content), "bad")


def test_every_truncation_is_refused():
    data = dumped(TREE)
    for end in range(len(data)):
        with pytest.raises(ValueError):
            read_pickled_arrays(data[:end], "short")


def test_changed_bytes_are_refused_or_change_numbers_alone():
    data = dumped({"a": np.ones(4, "float32"), "b": np.ones((2, 2))})
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        try:
            arrays = read_pickled_arrays(bytes(changed), "changed")
        except ValueError:
            continue
        assert all(value.dtype.kind == "f" for value in arrays.values())


def test_loops_and_bombs_of_references_end():
    loop = {}
    loop["a"] = loop
    bomb = {"a": np.ones(1)}
    for _ in range(7):
        bomb = {str(i): bomb for i in range(50)}
    for content in (loop, bomb):
        with pytest.raises(ValueError, match="holds more than"):
            read_pickled_arrays(dumped(content), "bomb")


def test_shapes_that_do_not_fit_their_bytes_are_refused():
    data = dumped({"a": np.ones(7, "float32")})
    changed = data.replace(b"K\x07", b"K\x08")
    assert changed != data
    with pytest.raises(ValueError, match=r"shape \(8,\) with 28 bytes"):
        read_pickled_arrays(changed, "bad")


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x04."])
def test_foreign_files_are_refused(data):
    with pytest.raises(ValueError, match="foreign"):
        read_pickled_arrays(data, "foreign")
