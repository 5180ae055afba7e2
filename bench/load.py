"""Generates load: wrk for throughput, h2load at a fixed rate for latency, single connections for the first byte."""

import http.client
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.pairs import OPENAI, SMALL, Dialect, Size
from bench.processes import pinned


@dataclass(frozen=True)
class Address:
    """How a target is called in one dialect."""

    port: int
    model: str
    headers: tuple[tuple[str, str], ...] = ()
    dialect: Dialect = OPENAI
    size: Size = SMALL

    @property
    def path(self) -> str:
        return self.dialect.path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def body(self, *, is_stream: bool) -> str:
        return self.dialect.body(self.model, is_stream=is_stream, size=self.size)

    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **dict(self.headers)}


def send_request(address: Address, *, is_stream: bool, timeout_s: float = 30.0) -> tuple[int, bytes]:
    """Send one request; return status and body. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=timeout_s)
    try:
        connection.request("POST", address.path, address.body(is_stream=is_stream), address.all_headers())
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_until_ready(address: Address, *, is_stream: bool, deadline_s: float, check: Callable[[], None]) -> None:
    """Send requests until one gets the upstream's response. `check` can raise an error to stop waiting.

    Raises TimeoutError after `deadline_s` on the monotonic clock.
    """
    expected = address.dialect.end_of_stream if is_stream else b"All human beings"
    last = "no connection"
    while time.monotonic() < deadline_s:
        check()
        try:
            status, body = send_request(address, is_stream=is_stream)
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        else:
            if status == 200 and expected in body:
                return
            last = f"{status} {body[:300]!r}"
        time.sleep(0.05)
    raise TimeoutError(f"{address.url} does not respond as expected. Last response: {last}")


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
        raise RuntimeError(f"wrk printed no result: {run.stdout}{run.stderr}")
    return Throughput(int(found[1]), int(found[2]) / 1e6, int(found[3]))


@dataclass(frozen=True)
class Timings:
    """The requests of one open-loop run, in the order in which they were sent."""

    starts_us: list[int]
    durations_us: list[int]
    errors: int

    def steady_us(self) -> list[int]:
        """Return the durations without the first tenth, in which connections are opened and caches are filled."""
        return self.durations_us[len(self.durations_us) // 10 :]

    def max_concurrent(self) -> int:
        """Return the maximum number of concurrent requests."""
        moments = [(start, 1) for start in self.starts_us]
        moments += [(start + spent, -1) for start, spent in zip(self.starts_us, self.durations_us, strict=True)]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


@dataclass(frozen=True)
class H2Load:
    """The parameters of h2load. If `rate_per_s` is None, each connection sends its requests without pauses."""

    requests: int
    connections: int
    connect_every_ms: int
    """Connections are opened one by one. If they were opened together, they would always send in bursts."""
    rate_per_s: float | None = None

    @classmethod
    def all_at_once(cls, count: int) -> "H2Load":
        """Send one request on each of `count` connections, opened within two seconds, but at most 1,000 per second."""
        return cls(count, count, max(1, 2000 // count))

    @classmethod
    def at_rate(cls, rate_per_s: float, seconds: float) -> "H2Load":
        """Distribute the rate over connections that send every 20 ms: h2load's timers have a resolution of 10 ms."""
        connections = max(17, int(rate_per_s * 0.02) | 1)
        per_connection = max(1, round(rate_per_s * seconds / connections))
        gap_ms = max(1, round(1000 / rate_per_s))
        return cls(per_connection * connections, connections, gap_ms, rate_per_s)


def run_h2load(address: Address, plan: H2Load, *, is_stream: bool, work_dir: Path, cores: frozenset[int]) -> Timings:
    """Send `plan.requests` requests over HTTP/1.1 and return the time of each to its last byte.

    A connection carries one request at a time. There are more connections than requests in flight, so this is an open
    loop: a slow response does not delay the next request.
    """
    log = work_dir / "h2load.log"
    log.unlink(missing_ok=True)
    command = _h2load(address, plan, work_dir, is_stream=is_stream)
    command += ["-n", str(plan.requests), "-r", "1", "--rate-period", f"{plan.connect_every_ms}ms"]
    command += ["--log-file", str(log)]
    with pinned(cores):
        run = subprocess.run([*command, address.url], capture_output=True, text=True, check=True, timeout=300)
    rows = sorted(tuple(map(int, line.split("\t")[:3])) for line in log.read_text().splitlines())
    good = [(start, spent) for start, status, spent in rows if 200 <= status < 300]
    if not good:
        raise RuntimeError(f"h2load got no response from {address.url}: {run.stdout}{run.stderr}")
    return Timings([row[0] for row in good], [row[1] for row in good], plan.requests - len(good))


def run_steady(
    address: Address, plan: H2Load, seconds: int, *, is_stream: bool, work_dir: Path, cores: frozenset[int]
) -> Throughput:
    """Send requests at the rate of `plan` for `seconds`, without a record of each of them."""
    command = [*_h2load(address, plan, work_dir, is_stream=is_stream), "-D", str(seconds)]
    with pinned(cores):
        run = subprocess.run([*command, address.url], capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse_h2load(run.stdout, seconds)


def parse_h2load(output: str, seconds: float) -> Throughput:
    """Return what h2load has counted. Every request without a 2xx status is an error. Raises RuntimeError."""
    done = re.search(
        r"^requests: \d+ total, \d+ started, (\d+) done, .* (\d+) errored, (\d+) timeout", output, re.MULTILINE
    )
    good = re.search(r"^status codes: (\d+) 2xx", output, re.MULTILINE)
    if done is None or good is None:
        raise RuntimeError(f"h2load printed no result: {output}")
    completed, errored, timed_out = map(int, done.groups())
    return Throughput(completed, seconds, max(completed - int(good[1]), errored + timed_out))


def _h2load(address: Address, plan: H2Load, work_dir: Path, *, is_stream: bool) -> list[str]:
    """Return the common part of the commands."""
    body = work_dir / "body.json"
    body.write_text(address.body(is_stream=is_stream))
    command = [_tool("h2load"), "--h1", "-t", "1", "-c", str(plan.connections), "-d", str(body)]
    if plan.rate_per_s is not None:
        command += ["--rps", f"{plan.rate_per_s / plan.connections:.3f}"]
    for name, value in address.all_headers().items():
        command += ["-H", f"{name}: {value}"]
    return command


class FirstByteProbe:
    """Opens one connection and repeatedly measures the time to the first byte of a streamed body."""

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
            raise RuntimeError(f"{self._address.url} responded with status {response.status}.")
        return spent / 1000

    def close(self) -> None:
        self._connection.close()


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed. Run: bench/setup tools")
    return found
