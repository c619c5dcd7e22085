"""The process of one contender.

    PYTHONPATH=benchmarks KERAS_BACKEND=jax python -m speed_contenders '{"network": "ours", ...}'

builds a contender (a `Contender` as JSON), answers with one line of JSON that describes it, and
then runs it once for every line it reads, answering with the seconds that took. When its input
ends, it answers with its memory and leaves. Where something fails, the answer is the error.
"""

import importlib
import json
import os
import re
import resource
import sys
import time
from typing import Any

from speed_contenders import CLASSES, Built, Contender, Unavailable, cores, plain_forms

import numpy as np


def build(contender: Contender) -> Built:
    """Builds a contender, ready to be timed after a few runs to warm up."""
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((contender.batch, *contender.clip, 3), "float32")
    labels = rng.integers(0, CLASSES, contender.batch)
    if contender.in_pytorch:
        from speed_contenders import pytorch as maker
    else:
        from speed_contenders import ours as maker
    return maker.build(contender, clips, labels)


def prepare(contender: Contender) -> dict[str, str]:
    """Imports what the contender needs, gives it all cores, and returns the versions."""
    if not contender.in_pytorch:
        import keras_mtnet  # noqa: F401  before TensorFlow, which it sets up

        if contender.form:
            plain_forms.FORMS[contender.form]()
    try:
        framework = importlib.import_module(contender.backend)
        if contender.backend == "torch":
            framework.set_num_threads(cores())
        elif contender.backend == "tensorflow":
            framework.config.threading.set_intra_op_parallelism_threads(cores())
    except ImportError as error:
        raise Unavailable(str(error)) from error
    versions = {contender.backend: framework.__version__}
    if not contender.in_pytorch:
        import keras

        versions["keras"] = keras.__version__
    return versions


def peak_mb() -> float:
    """Largest memory this process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def reason(error: Exception) -> str:
    """First line of an error's message that says what is wrong; Keras' says where."""
    lines = re.sub(r"\x1b\[\d*m", "", str(error)).split("\n")
    lines = [line for line in lines if line and not line.startswith("Exception encountered when")]
    return lines[0][:150] if lines else ""


def main(argument: str) -> None:
    # Answers go where standard output went; what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        contender = Contender(**json.loads(argument))
        versions, before = prepare(contender), peak_mb()
        built = build(contender)
        built.run()
        answer(params=built.params, macs=built.macs, on_gpu=built.on_gpu, versions=versions)
        for _ in sys.stdin:
            start = time.perf_counter()
            built.run()
            answer(seconds=time.perf_counter() - start)
        memory = peak_mb() - before if built.gpu_peak is None else built.gpu_peak() / 2**20
        answer(memory_before_mb=before, memory_mb=memory)
    except Unavailable as error:
        answer(error=str(error))
    except Exception as error:  # whatever a backend cannot do is an entry of the table
        answer(error=f"{type(error).__name__}: {reason(error)}")
        raise


if __name__ == "__main__":
    main(sys.argv[1])
