"""A real nginx in front of a server, for tests of what proxies do."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gateway.process import until

_REPO = Path(__file__).resolve().parents[3]
NGINX = next(filter(None, map(shutil.which, ("nginx", "/usr/sbin/nginx", _REPO / ".tools/nginx/usr/sbin/nginx"))), None)
"""None if nginx is not installed."""
_AROUND = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {block}
}}
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_nginx(folder: Path, block: str, port: int) -> Iterator[Path]:
    """Run nginx with `block` inside its `http` block, which listens on `port`. The value is its error log."""
    config, log = folder / "nginx.conf", folder / "error.log"
    config.write_text(_AROUND.format(folder=folder, block=block))
    with subprocess.Popen([str(NGINX), "-p", str(folder), "-e", str(log), "-c", str(config)]) as nginx:
        try:
            until(lambda: _accepts(port) or nginx.poll() is not None, "nginx listens")
            assert nginx.poll() is None, log.read_text()
            yield log
        finally:
            nginx.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0
