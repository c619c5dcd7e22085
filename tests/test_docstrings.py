"""The examples in the docstrings of all modules run and print what they say."""

import doctest
import importlib
import pkgutil

import keras
import pytest

import keras_mtnet

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(keras_mtnet.__path__, "keras_mtnet.")
    if not module.name.endswith("__main__")
)
# Packages that users install as extras; a module that needs one is skipped without it.
OPTIONAL = {"gradio", "jax", "matplotlib", "onnx", "safetensors", "tensorflow_io", "torch", "wandb"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example that writes leaves nothing behind
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    keras.utils.set_random_seed(0)
    names = {"mt": keras_mtnet, "keras": keras}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    done = set()
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        code = tuple(example.source for example in test.examples)
        if code not in done:  # functions of one family may share an example
            runner.run(test)
        done.add(code)
    assert runner.failures == 0, "see the output above"
