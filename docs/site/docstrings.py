"""Prepares docstrings for the site: doctests become code, families of networks name a member."""

import re
from typing import Any

import griffe

# Several parameters that one description is for, where their names take more than a line.
NAMES = re.compile(r"^( +(?:\w+, )*\w+,)\n +((?:\w+, )*\w+: )", re.M)
DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.M)


class Docstrings(griffe.Extension):
    """Changes docstrings as they are read; the sources stay as they are."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = NAMES.sub(r"\1 \2", obj.docstring.value)
            fenced = DOCTEST.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text)
            obj.docstring.value = fenced

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """`X3DM = sized(x3d, ...)`: what x3d says stands for all, without its first parameter."""
        seen = set()
        for module in pkg["models"].modules.values():
            for name, attribute in module.attributes.items():
                call = attribute.value
                if isinstance(call, griffe.ExprCall) and str(call.function) == "sized":
                    builder = module[str(call.arguments[0])]
                    builder = builder.final_target if builder.is_alias else builder
                    if builder.path not in seen:
                        seen.add(builder.path)
                        text = builder.docstring.value.replace("MODEL", name)
                        builder.docstring.value = text
                        builder.parameters = griffe.Parameters(*list(builder.parameters)[1:])
