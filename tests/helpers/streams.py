"""Streams on the loopback, sent frame by frame as a camera does."""

import contextlib
import socket
import threading
import time

import av


def free_port(kind=socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def write_stream(target, frames, pause) -> None:
    """Writes MPEG-TS with a keyframe every five frames; `target` is an address or a file."""
    with contextlib.suppress(OSError), av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.codec_context.gop_size = 5
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            time.sleep(pause)
        container.mux(stream.encode())


class Chunks:
    """A file that is sent at once; over HTTP in chunks, of which an empty one is the end."""

    def __init__(self, connection, chunked):
        self.connection, self.chunked = connection, chunked

    def write(self, data):
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        return len(data)


@contextlib.contextmanager
def sending(frames, kind="tcp", pause=0.004):
    """Yields the address of a stream; over TCP and HTTP it begins when somebody comes."""
    server = socket.create_server(("127.0.0.1", 0)) if kind != "udp" else None
    port = server.getsockname()[1] if server else free_port(socket.SOCK_DGRAM)

    def run():
        if server is None:
            write_stream(f"udp://127.0.0.1:{port}?pkt_size=1316", frames, pause)
            return
        # FFmpeg's own server would keep Python's lock while it waits for somebody.
        with contextlib.suppress(OSError), server, server.accept()[0] as connection:
            if kind == "http":
                connection.recv(2**16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            file = Chunks(connection, chunked=kind == "http")
            write_stream(file, frames, pause)
            file.write(b"")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"{kind}://127.0.0.1:{port}"
    thread.join()
