"""A web server on this machine that sends parts of files, as those that hold data sets do."""

import contextlib
import functools
import http.server
import threading
from pathlib import Path


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Python's handler, with the ranges that it lacks. `asked` collects paths and ranges."""

    asked: list[tuple[str, str | None]]

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        file = Path(self.translate_path(self.path))
        if wanted is None or not file.is_file():
            super().do_GET()
            return
        first, last = (int(place) for place in wanted.removeprefix("bytes=").split("-"))
        data = file.read_bytes()
        part = data[first : last + 1]
        self.send_response(206 if part else 416)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_):
        """Says nothing."""


class Whole(Ranges):
    """Sends whole files only."""

    def do_GET(self):
        del self.headers["Range"]
        super().do_GET()


@contextlib.contextmanager
def serve(folder, handler=Ranges):
    """Yields the URL of a folder, and the list of what is asked for."""
    asked = []
    handler = type("Handler", (handler,), {"asked": asked})
    handler = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()
