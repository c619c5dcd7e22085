"""Training: recipes, the run itself, and run folders.

Names load on first use: a recipe can be read and written without TensorFlow.
"""

import importlib
from typing import Any

# public name -> the module that defines it
_NAMES = {
    "Distiller": "distillation",
    "Recipe": "recipe",
    "RECIPES": "recipe",
    "TeacherScores": "teacher_scores",
    "default_picture": "preview",
    "distill": "distillation",
    "dry_run": "preview",
    "load_run": "run_folder",
    "precompute_teacher": "teacher_scores",
    "stored_recipe": "run_folder",
    "train": "run",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
