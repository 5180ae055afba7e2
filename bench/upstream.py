"""The upstream of all programs: one nginx that returns fixed responses, at once or as a slow stream."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.pairs import DIALECTS, LARGE, SMALL, Dialect, Size
from bench.processes import Cores, Server, free_ports

DRIP_BYTES_PER_S: Final = 1000
"""The rate of a slow stream: about four events per second for eight seconds."""
_PARAMETER_BYTES: Final = 3500


def nginx_path() -> str:
    """Return the path of nginx. Raises FileNotFoundError if it is not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("nginx is not installed. Run: bench/setup tools")
    return found


def nginx_preamble(work_dir: Path) -> str:
    """Return the common part of all nginx configurations. All files of nginx are in `work_dir`."""
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"  {kind}_temp_path {work_dir}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
{user}
worker_processes 1;
daemon off;
pid {work_dir}/nginx.pid;
error_log {work_dir}/error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  variables_hash_max_size 4096;
  variables_hash_bucket_size 128;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 256k;
{temporary}
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _upstream_config(work_dir: Path, ports: "Upstream") -> str:
    models = json.dumps({"object": "list", "data": [{"id": "bench-1", "object": "model", "owned_by": "vllm"}]})
    common = f"""
    location = /v1/models {{ default_type application/json; return 200 {_quoted(models)}; }}
    location / {{ default_type application/json; return 200 '{{"status": "ok"}}'; }}
"""

    def places(make: Callable[[Dialect], str]) -> str:
        return "\n".join(f"    location = {each.path} {{ {make(each)} }}" for each in DIALECTS)

    servers = [(ports.drip_port, places(lambda each: f"limit_rate {DRIP_BYTES_PER_S};{_stream(each, SMALL)}"))]
    for size in (SMALL, LARGE):
        servers.append((ports.port(size, is_stream=False), places(partial(_answer, size=size))))
        servers.append((ports.port(size, is_stream=True), places(partial(_stream, size=size))))
    blocks = "\n".join(
        f"  server {{\n    listen 127.0.0.1:{port} backlog=4096;\n{locations}\n{common}  }}"
        for port, locations in servers
    )
    return f"{nginx_preamble(work_dir)}\n{blocks}\n}}\n"


def _answer(dialect: Dialect, size: Size) -> str:
    return _response("application/json", f"{dialect.name}_answer_{size.name}_", [dialect.answer(size)])


def _stream(dialect: Dialect, size: Size) -> str:
    return _response("text/event-stream", f"{dialect.name}_stream_{size.name}_", dialect.events(size))


def _response(media_type: str, prefix: str, pieces: list[str]) -> str:
    """Assemble the body from several variables, because nginx limits a parameter to 4096 bytes."""
    names_and_values = [(f"{prefix}{number}", part) for number, part in enumerate(split_text("".join(pieces)))]
    settings = "\n".join(f"      set ${name} {_quoted(part)};" for name, part in names_and_values)
    return f"""
{settings}
      default_type {media_type};
      return 200 "{"".join(f"${{{name}}}" for name, _ in names_and_values)}";
    """


def split_text(text: str, limit: int = _PARAMETER_BYTES) -> list[str]:
    """Split an ASCII text into parts whose quoted form has at most `limit` bytes."""
    parts: list[str] = []
    length = limit
    for character in text:
        cost = len(_quoted(character)) - 2
        if length + cost > limit:
            parts.append("")
            length = 0
        parts[-1] += character
        length += cost
    return parts


@dataclass(frozen=True)
class Upstream:
    """Ports on 127.0.0.1 with the endpoints of each dialect: complete responses, fast streams, slow streams."""

    json_port: int
    stream_port: int
    drip_port: int
    large_json_port: int
    large_stream_port: int

    def port(self, size: Size, *, is_stream: bool) -> int:
        if size.is_large:
            return self.large_stream_port if is_stream else self.large_json_port
        return self.stream_port if is_stream else self.json_port

    @classmethod
    def start(cls, work_dir: Path, cores: Cores) -> tuple["Upstream", Server]:
        work_dir.mkdir(parents=True, exist_ok=True)
        upstream = cls(*free_ports(5))
        config = work_dir / "nginx.conf"
        config.write_text(_upstream_config(work_dir, upstream))
        command = [nginx_path(), "-p", str(work_dir), "-c", str(config), "-e", str(work_dir / "error.log")]
        return upstream, Server.start("upstream", command, os.environ, work_dir, cores.rest)
