"""The load: wrk for what a program can do, h2load at a fixed rate for latency, raw sockets for the first byte."""

import http.client
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.pairs import OPENAI, Dialect
from bench.processes import pinned


@dataclass(frozen=True)
class Address:
    """Where and how a target takes a request of one dialect."""

    port: int
    model: str
    headers: tuple[tuple[str, str], ...] = ()
    dialect: Dialect = OPENAI

    @property
    def path(self) -> str:
        return self.dialect.path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def body(self, *, is_stream: bool) -> str:
        return self.dialect.body(self.model, is_stream=is_stream)

    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **dict(self.headers)}


def ask(address: Address, *, is_stream: bool, timeout_s: float = 30.0) -> tuple[int, bytes]:
    """Send one request; return status and body. Raises OSError or HTTPException while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=timeout_s)
    try:
        connection.request("POST", address.path, address.body(is_stream=is_stream), address.all_headers())
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_until_it_answers(address: Address, *, is_stream: bool, deadline_s: float, check: Callable[[], None]) -> None:
    """Poll with real requests until one is answered as the upstream would; `check` may end it by raising.

    Raises TimeoutError after `deadline_s` on the monotonic clock.
    """
    wanted = address.dialect.end_of_stream if is_stream else b"All human beings"
    seen = "no connection"
    while time.monotonic() < deadline_s:
        check()
        try:
            status, body = ask(address, is_stream=is_stream)
        except (OSError, http.client.HTTPException) as error:
            seen = repr(error)
        else:
            if status == 200 and wanted in body:
                return
            seen = f"{status} {body[:300]!r}"
        time.sleep(0.05)
    raise TimeoutError(f"{address.url} does not answer as expected; last: {seen}")


@dataclass(frozen=True)
class Throughput:
    """One closed-loop run."""

    requests: int
    duration_s: float
    errors: int

    @property
    def rate_per_s(self) -> float:
        return self.requests / self.duration_s


_WRK_SCRIPT: Final = """
wrk.method = "POST"
wrk.body = [==[%s]==]
%s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nBENCH %%d %%d %%d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def run_wrk(
    address: Address, *, is_stream: bool, seconds: float, connections: int, work_dir: Path, cores: frozenset[int]
) -> Throughput:
    """Keep `connections` requests in flight for `seconds`."""
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in address.all_headers().items())
    script = work_dir / "wrk.lua"
    script.write_text(_WRK_SCRIPT % (address.body(is_stream=is_stream), headers))
    command = [
        *(_tool("wrk"), "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"),
        *("--timeout", "30s", "-s", str(script), address.url),
    ]
    with pinned(cores):
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 90)
    found = re.search(r"^BENCH (\d+) (\d+) (\d+)$", run.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said nothing of use: {run.stdout}{run.stderr}")
    return Throughput(int(found[1]), int(found[2]) / 1e6, int(found[3]))


@dataclass(frozen=True)
class Timings:
    """Requests of one open-loop run, in the order they were sent."""

    starts_us: list[int]
    durations_us: list[int]
    errors: int

    def settled_us(self) -> list[int]:
        """Durations without the first tenth: connections open and caches fill there."""
        return self.durations_us[len(self.durations_us) // 10 :]

    def most_at_once(self) -> int:
        """The largest number of requests in flight together."""
        moments = [(start, 1) for start in self.starts_us]
        moments += [(start + spent, -1) for start, spent in zip(self.starts_us, self.durations_us, strict=True)]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


@dataclass(frozen=True)
class H2Load:
    """How h2load is to send: `rate_per_s` None means each connection sends its requests without a pause."""

    requests: int
    connections: int
    connect_every_ms: int
    """Connections open one by one: opened together, they would send in bursts for ever after."""
    rate_per_s: float | None = None

    @classmethod
    def at_rate(cls, rate_per_s: float, seconds: float) -> "H2Load":
        """Spread `rate_per_s` over connections that send about every 20 ms each: h2load's timers tick at 10 ms."""
        connections = max(17, int(rate_per_s * 0.02) | 1)
        per_connection = max(1, round(rate_per_s * seconds / connections))
        gap_ms = max(1, round(1000 / rate_per_s))
        return cls(per_connection * connections, connections, gap_ms, rate_per_s)


def run_h2load(address: Address, plan: H2Load, *, is_stream: bool, work_dir: Path, cores: frozenset[int]) -> Timings:
    """Send `plan.requests` over HTTP/1.1 and return each one's time to the last byte.

    Every connection carries one request at a time; with more connections than requests in flight the rate is
    that of an open loop: a slow answer does not hold back the next request.
    """
    body = work_dir / "body.json"
    body.write_text(address.body(is_stream=is_stream))
    log = work_dir / "h2load.log"
    log.unlink(missing_ok=True)
    command = [_tool("h2load"), "--h1", "-t", "1", "-n", str(plan.requests), "-c", str(plan.connections)]
    command += ["-r", "1", "--rate-period", f"{plan.connect_every_ms}ms", "-d", str(body), "--log-file", str(log)]
    if plan.rate_per_s is not None:
        command += ["--rps", f"{plan.rate_per_s / plan.connections:.3f}"]
    for name, value in address.all_headers().items():
        command += ["-H", f"{name}: {value}"]
    with pinned(cores):
        run = subprocess.run([*command, address.url], capture_output=True, text=True, check=True, timeout=300)
    rows = sorted(tuple(map(int, line.split("\t")[:3])) for line in log.read_text().splitlines())
    good = [(start, spent) for start, status, spent in rows if 200 <= status < 300]
    if not good:
        raise RuntimeError(f"h2load got no answer from {address.url}: {run.stdout}{run.stderr}")
    return Timings([row[0] for row in good], [row[1] for row in good], plan.requests - len(good))


class FirstByteProbe:
    """Opens one connection and times, again and again, the first byte of a streamed answer's body."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
        self._body = address.body(is_stream=True)

    def measure_us(self) -> float:
        began = time.perf_counter_ns()
        self._connection.request("POST", self._address.path, self._body, self._address.all_headers())
        response = self._connection.getresponse()
        response.read(1)
        spent = time.perf_counter_ns() - began
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{self._address.url} answered {response.status}")
        return spent / 1000

    def close(self) -> None:
        self._connection.close()


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run bench/setup tools")
    return found
