"""Pieces of an HTML page that needs nothing but itself: no scripts, no other files."""

import base64
import html
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22272e; background: #fff; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem }
img { max-width: 100%; display: block; margin: .5rem 0 }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e6e8eb; overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f7f8; padding: .8rem }
p.note { color: #b0303f }
""".strip()
# A browser then fetches nothing, whatever a name in the page says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page; sections are HTML."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width">\n<link rel="icon" href="data:,">\n'
        f"<title>{name}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and HTML below it.

    >>> section("Costs & more", text("1 < 2"))
    '<h2>Costs &amp; more</h2>\\n<p>1 &lt; 2</p>'
    """
    return "\n".join([f"<h2>{html.escape(title)}</h2>", *parts])


def text(words: str, tag: str = "p", kind: str = "") -> str:
    """Plain text as an element."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{html.escape(words)}</{tag}>"


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Rows of values as a table; numbers stand to the right.

    >>> table([("params", 1234567)])
    '<table><tr><td>params</td><td class="number">1,234,567</td></tr></table>'
    """
    head = "".join(text(each, "th") for each in header)
    lines = [f"<tr>{head}</tr>"] if head else []
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(f"{value:,}" if isinstance(value, int) else f"{value:.4g}", "td", "number")
    return text("" if value is None else str(value), "td")


def picture(draw: Callable[[Path], None], about: str, kind: str = "png") -> str:
    """The picture that `draw(path)` writes, inside the page.

    `about` is read where it cannot be seen, `kind` is `"png"`, or `"jpeg"` for photographs.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture.{kind}"
        draw(path)
        data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(about)}" src="data:image/{kind};base64,{data}">'
