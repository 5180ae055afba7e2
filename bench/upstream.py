"""The vendor that all programs talk to: one nginx that answers at once with canned bodies, or drips a stream."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Cores, Server, free_ports

ANSWER_TEXT: Final = "All human beings are born free and equal in dignity and rights. " * 9
STREAM_EVENTS: Final = 30
DRIP_BYTES_PER_S: Final = 1000
"""nginx sends about this much a second on each dripped stream: four events a second for eight seconds."""


def nginx_path() -> str:
    """Raises FileNotFoundError when nginx is not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("nginx is not installed: run bench/setup tools")
    return found


def canned_answer() -> str:
    """About one kilobyte: a chat completion with usage."""
    return json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "bench-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": ANSWER_TEXT, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 57, "completion_tokens": 118, "total_tokens": 175},
        }
    )


def canned_events() -> list[str]:
    """A stream of `STREAM_EVENTS` content events between role, finish, usage and the end mark."""
    words = ANSWER_TEXT.split()
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f" {words[number]}"} for number in range(STREAM_EVENTS)]
    choices: list[dict[str, object]]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    head: dict[str, object] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "bench-1",
        "system_fingerprint": "fp_bench",
    }
    chunks = [json.dumps({**head, "choices": [choice], "usage": None}) for choice in choices]
    usage = {"prompt_tokens": 57, "completion_tokens": STREAM_EVENTS, "total_tokens": 57 + STREAM_EVENTS}
    chunks.append(json.dumps({**head, "choices": [], "usage": usage}))
    return [f"data: {chunk}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def nginx_preamble(work_dir: Path) -> str:
    """What every nginx here has in common; all its files stay in `work_dir`."""
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
    # One parameter of an nginx configuration holds 4096 bytes at most, so the stream is put together from several.
    events = canned_events()
    groups = ["".join(events[at : at + 10]) for at in range(0, len(events), 10)]
    settings = "\n".join(f"      set $part{number} {_quoted(group)};" for number, group in enumerate(groups))
    stream = f"""{settings}
      default_type text/event-stream;
      return 200 "{"".join(f"${{part{number}}}" for number in range(len(groups)))}";"""
    answer = f"default_type application/json; return 200 {_quoted(canned_answer())};"
    chat = "location = /v1/chat/completions"
    return f"""{nginx_preamble(work_dir)}
  server {{
    listen 127.0.0.1:{ports.json_port} backlog=4096;
    {chat} {{ {answer} }}
{common}  }}
  server {{
    listen 127.0.0.1:{ports.stream_port} backlog=4096;
    {chat} {{
{stream}
    }}
{common}  }}
  server {{
    listen 127.0.0.1:{ports.drip_port} backlog=4096;
    {chat} {{
      limit_rate {DRIP_BYTES_PER_S};
{stream}
    }}
{common}  }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    """Ports on 127.0.0.1 that answer /v1/chat/completions at once, with a whole stream at once, dripping."""

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
