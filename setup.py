"""The metadata is in pyproject.toml. Here is what it has no word for: wheels carry `weights/`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    """Puts the published weights beside the code that reads them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # an editable install reads the folder where it is
            target = Path(self.build_lib, "keras_mtnet", "weights", "published")
            shutil.copytree("weights", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithWeights})
