"""What is measured while the load runs, and after it: memory, and everything that could be left over."""

import contextlib
import itertools
import os
import re
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

GAUGES: Final = {
    "tasks": "intellirouter_tasks",
    "in flight": "intellirouter_in_flight",
    "WebSockets": "intellirouter_open_sockets",
    "upstream connections": "intellirouter_upstream_connections",
    "idle of these": "intellirouter_idle_upstream_connections",
    "waiting for one": "intellirouter_waiting_for_connection",
    "answer bytes": "intellirouter_buffered_answer_bytes",
    "spool backlog": "intellirouter_spool_backlog_records",
    "lost records": "intellirouter_lost_records",
    "cache bytes": "intellirouter_cache_bytes",
    "cache entries": "intellirouter_cache_entries",
}
"""Metrics of the gateway, by their titles in the report."""
RETURNING: Final = (
    "tasks",
    "in flight",
    "attempts in flight",
    "WebSockets",
    "waiting for one",
    "answer bytes",
    "spool backlog",
    "upstream connections",
    "other sockets",
    "other files",
)
"""What must be after the load as it was before."""


class Sample(msgspec.Struct):
    at_s: float
    """Seconds since the start of the load."""
    rss_mb: float
    values: dict[str, float]


def take(pid: int, port: int, started_s: float) -> Sample:
    """Return a sample. Raises `OSError` if the gateway does not answer."""
    values = _metrics(port)
    found = {title: values[name] for title, name in GAUGES.items()}
    found["attempts in flight"] = _attempts_in_flight(port)
    found["threads"] = float(sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()))
    sockets, found["database files"], found["other files"] = _files(pid)
    found["other sockets"] = sockets - found["upstream connections"]
    return Sample(time.monotonic() - started_s, _rss_mb(pid), found)


def _metrics(port: int) -> dict[str, float]:
    """Return the metrics without labels."""
    text = _get(port, "/metrics").decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([-+.e0-9]+)$", text, re.MULTILINE)}


def _attempts_in_flight(port: int) -> float:
    """Return the attempts in flight that the health of the deployments counts."""
    models: list[dict[str, Any]] = msgspec.json.decode(_get(port, "/api/v1/models"))["models"]
    by_deployment = {name: each["in_flight"] for model in models for name, each in model.get("metrics", {}).items()}
    return float(sum(by_deployment.values()))


def _get(port: int, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"connection": "close"})
    with urllib.request.urlopen(request, timeout=10) as response:
        body: bytes = response.read()
        return body


def _files(pid: int) -> tuple[float, float, float]:
    """Return the number of open sockets, files of the database (a pool of connections), and other files."""
    counts = Counter[str]()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(entry.readlink())
            counts["socket" if target.startswith("socket:") else "database" if ".db" in target else "other"] += 1
    return float(counts["socket"]), float(counts["database"]), float(counts["other"])


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope_mb_per_hour(samples: Sequence[Sample]) -> float:
    """Return the slope of the regression line through the memory in the second half of the samples."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    return statistics.linear_regression([each.at_s for each in half], [each.rss_mb for each in half]).slope * 3600


def highest(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the highest value of each figure."""
    names = dict.fromkeys(itertools.chain(*(each.values for each in samples)))
    return {name: max(each.values[name] for each in samples) for name in names}


def left_over(before: Sample, after: Sample) -> dict[str, float]:
    """Return what is more than before, of what must return to its value before."""
    more = {name: after.values[name] - before.values[name] for name in RETURNING}
    return {name: count for name, count in more.items() if count > 0}
