"""Trees of files that are named like videos: a catalog never opens them."""


def make(root, names):
    """Makes a file for each name below `root`; returns the root."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def write(path, text):
    """Writes a list; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)
