"""The documentation site builds without a warning, says all names, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import keras_mtnet as mt

ROOT = Path(__file__).resolve().parents[1]


class Page(HTMLParser):
    """Links and anchors of an HTML page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id":
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="pip install keras-mtnet[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_links(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 10
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else ()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_other_hosts(site):
    loaded = re.compile(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"?(https?:[^\"> ]+)")
    found = [url for path in site.glob("*.html") for url in loaded.findall(path.read_text())]
    assert found == []


def test_code_beside_equations(site):
    text = re.sub("<[^>]+>", "", (site / "architecture.html").read_text(encoding="utf-8"))
    for line in ("local = math.floor(ratio * channels", "[ops.exp(d) for d in below]"):
        assert line in text


def test_reference_names_everything(site):
    """All that users can write after `import keras_mtnet as mt` has an entry."""
    text = (site / "api.html").read_text(encoding="utf-8")
    missing = []
    for name in mt.__all__:
        rooms = ("callbacks", "data", "explain", "layers", "optimizers", "training", "video")
        names = [name]
        if name in rooms:
            names = [f"{name}.{n}" for n in getattr(getattr(mt, name), "__all__", ())]
        missing += [each for each in names if not re.search(rf"\b{re.escape(each)}\b", text)]
    assert set(missing) <= {"models", "presets", "weights"}
