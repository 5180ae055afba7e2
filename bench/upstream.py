"""The upstream of all programs: one nginx that returns fixed responses, at once or as a slow stream."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.pairs import DIALECTS, Dialect
from bench.processes import Cores, Server, free_ports

DRIP_BYTES_PER_S: Final = 1000
"""The rate of a slow stream: about four events per second for eight seconds."""


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
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 64k;
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
    whole = "\n".join(_location(each.path, _answer(each)) for each in DIALECTS)
    streamed = "\n".join(_location(each.path, _stream(each)) for each in DIALECTS)
    dripping = "\n".join(_location(each.path, f"limit_rate {DRIP_BYTES_PER_S};{_stream(each)}") for each in DIALECTS)
    servers = ((ports.json_port, whole), (ports.stream_port, streamed), (ports.drip_port, dripping))
    blocks = "\n".join(
        f"  server {{\n    listen 127.0.0.1:{port} backlog=4096;\n{places}\n{common}  }}" for port, places in servers
    )
    return f"{nginx_preamble(work_dir)}\n{blocks}\n}}\n"


def _location(path: str, answer: str) -> str:
    return f"    location = {path} {{ {answer} }}"


def _answer(dialect: Dialect) -> str:
    return f"default_type application/json; return 200 {_quoted(dialect.answer())};"


def _stream(dialect: Dialect) -> str:
    """Assemble the stream from several variables, because nginx limits a parameter to 4096 bytes."""
    events = dialect.events()
    groups = ["".join(events[at : at + 10]) for at in range(0, len(events), 10)]
    names = [f"{dialect.name}{number}" for number in range(len(groups))]
    settings = "\n".join(f"      set ${name} {_quoted(group)};" for name, group in zip(names, groups, strict=True))
    return f"""
{settings}
      default_type text/event-stream;
      return 200 "{"".join(f"${{{name}}}" for name in names)}";
    """


@dataclass(frozen=True)
class Upstream:
    """Ports on 127.0.0.1 with the endpoints of each dialect: complete responses, fast streams, slow streams."""

    json_port: int
    stream_port: int
    drip_port: int

    @classmethod
    def start(cls, work_dir: Path, cores: Cores) -> tuple["Upstream", Server]:
        work_dir.mkdir(parents=True, exist_ok=True)
        upstream = cls(*free_ports(3))
        config = work_dir / "nginx.conf"
        config.write_text(_upstream_config(work_dir, upstream))
        command = [nginx_path(), "-p", str(work_dir), "-c", str(config), "-e", str(work_dir / "error.log")]
        return upstream, Server.start("upstream", command, os.environ, work_dir, cores.rest)
