"""What mkdocs does beyond docs/: pages from elsewhere in the repository, and the reference.

The README, the cards of the weights and the like stay where GitHub shows them. Links between pages
are those of the repository; this rewrites them to those of the site.
"""

import ast
import json
import posixpath
import re
import textwrap
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# path in the repository -> page of the site
PAGES = {
    "README.md": "index.md",
    "weights/README.md": "weights.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/tutorial.ipynb": "tutorial.md",
    "benchmarks/study/PROTOCOL.md": "study.md",
}
# chapter of the reference -> where its names are listed
CHAPTERS = {
    "Networks": "models",
    "Layers": "layers",
    "Data": "data",
    "Videos": "video",
    "Training": "training",
    "Callbacks": "callbacks",
    "Optimizers": "optimizers",
    "Explanations": "explain",
    "Test, export and other tools": "",
}
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.M | re.S)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
# A picture from another host as the text of a link.
BADGE = re.compile(r"\[!\[(.*?)\]\(https?://[^)]*\)\]")
# A line with nothing but a link from the name of a function to its file.
QUOTE = re.compile(r"^\[`([\w.]+)`\]\(\.\./(keras_mtnet/[\w/]+\.py)\)$", re.M)


def on_config(config: Any) -> Any:
    """Adds pages of docs/ that the navigation does not name to its guides."""
    named = json.dumps(config.nav)
    guides = next(part["Guides"] for part in config.nav if "Guides" in part)
    pages = sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    guides.extend(page for page in pages if f'"{page}"' not in named)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in docs/, and files that pages link to."""
    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            content = (ROOT / source).read_text(encoding="utf-8")
            content = notebook(content) if source.endswith(".ipynb") else content
            files.append(File.generated(config, page, content=content))
    files.append(File.generated(config, "api.md", content=reference()))
    for target in linked_files():
        if files.get_file_from_path(target) is None:
            files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links of the repository into links of the site, those to functions into their code."""
    markdown = QUOTE.sub(quoted, markdown)
    sources = {site: source for source, site in PAGES.items()}
    here = page.file.src_uri
    source = sources.get(here, f"docs/{here}")

    def site_link(match: re.Match) -> str:
        target, mark, anchor = match[2].partition("#")
        if "://" in target or not target or target.startswith("mailto:"):
            return match[0]
        moved = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        moved = posixpath.relpath(moved, posixpath.dirname(here) or ".")
        return f"{match[1]}{moved}{mark}{anchor}{match[3]}"

    parts = CODE.split(markdown)  # code at odd places
    return "".join(p if i % 2 else LINK.sub(site_link, p) for i, p in enumerate(parts))


def quoted(match: re.Match) -> str:
    """The code of a function, without its docstring."""
    name, path = match.groups()
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for part in name.split("."):
        node = next((n for n in body if getattr(n, "name", None) == part), None)
        if node is None:
            raise PluginError(f"{path} has no {name}, which a page quotes")
        body = node.body
    first, last = node.lineno - 1, node.end_lineno
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    if ast.get_docstring(node):
        lines[node.body[0].lineno - 1 : node.body[0].end_lineno] = []
        last -= node.body[0].end_lineno - node.body[0].lineno + 1
    code = textwrap.dedent("\n".join(lines[first:last]))
    return f'```python title="{path}"\n{code}\n```'


def site_path(path: str) -> str:
    """Where a file of the repository is on the site."""
    return PAGES.get(path, path.removeprefix("docs/"))


def linked_files() -> set[str]:
    """Files outside docs/ that pages link to and that are no pages themselves."""
    found = set()
    for source in (*PAGES, *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))):
        text = (ROOT / source).read_text(encoding="utf-8") if (ROOT / source).is_file() else ""
        for _, target, _ in LINK.findall(CODE.sub("", text)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
            if path not in PAGES and not path.startswith("docs/") and (ROOT / path).is_file():
                found.add(path)
    return found


def notebook(text: str) -> str:
    """The cells of a notebook as Markdown."""
    cells = []
    for cell in json.loads(text)["cells"]:
        source = BADGE.sub(r"[\1]", "".join(cell["source"]))
        cells.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    return "\n\n".join(cells)


# --- The reference --------------------------------------------------------------------------------


def reference() -> str:
    """A page of all public names, from the tables by which the package loads them."""
    lines = ["# Reference", "", "Names are those after `import keras_mtnet as mt`."]
    for chapter, package in CHAPTERS.items():
        lines += ["", f"## {chapter}"]
        for label, path in entries(package):
            lines += ["", f"::: keras_mtnet.{path}", "    options:", f'      heading: "{label}"']
            lines += [f'      toc_label: "{label}"', "      heading_level: 3"]
    return "\n".join(lines) + "\n"


def entries(package: str) -> list[tuple[str, str]]:
    """Public names of a package as (what users write, where it is defined)."""
    folder = ROOT / "keras_mtnet" / package
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    if package == "models":
        return families(literal(literals["__all__"]))
    if "_NAMES" not in literals:
        names = literal(literals["__all__"]) if "__all__" in literals else public(tree)
        return [(f"{package}.{name}", f"{package}.{name}") for name in names]
    table = literal(literals["_NAMES"])
    if package == "":
        return [(n, f"{m}.{n}") for m, names in table.items() if m != "models" for n in names]
    where = {n: m if "." in m else f"{package}.{m}" for n, m in table.items()}
    return [(f"{package}.{name}", f"{module}.{name}") for name, module in where.items()]


def literal(node: ast.AST) -> Any:
    """The value of a literal, without the parts that it takes from other names, as `*NETWORKS`."""
    if isinstance(node, ast.Dict):
        return {literal(k): literal(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [literal(each) for each in node.elts if not isinstance(each, ast.Starred)]
    return ast.literal_eval(node)


def public(tree: ast.Module) -> list[str]:
    """Classes and functions of a module whose names begin with a letter."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [n.name for n in tree.body if isinstance(n, kinds) and n.name[0] != "_"]


def families(names: list[str]) -> list[tuple[str, str]]:
    """Networks: members that one function builds, as X3DS and X3DM, share an entry."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "keras_mtnet" / "models").glob("[a-z]*.py")):
        home: dict[str, str] = {}  # name -> its module
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                home |= {alias.name: str(node.module) for alias in node.names}
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                name, call = ast.unparse(node.targets[0]), node.value
                if ast.unparse(call.func) == "sized":
                    template = ast.unparse(call.args[0])
                    module = home.get(template, f"models.{path.stem}").removeprefix("keras_mtnet.")
                    found.setdefault(f"{module}.{template}", []).append(name)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
                found[f"models.{path.stem}.{node.name}"] = [node.name]
    return [(", ".join(members), path) for path, members in found.items()]
