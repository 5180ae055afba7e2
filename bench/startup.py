"""Measures how long a new process takes to import the package, to be ready, and to give its first answer."""

import http.client
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.load import Address, send_request
from bench.processes import Cores, Server, free_ports, pinned
from bench.targets import clean_env, intellirouter_command

_IMPORT: Final = "import time; t = time.perf_counter(); import intellirouter; print(time.perf_counter() - t)"
_START_TIMEOUT_S: Final = 60.0


def import_ms(repeats: int, env: dict[str, str]) -> float:
    """Return the best time of several new processes, without the start of the interpreter."""
    times = []
    for _ in range(repeats):
        run = subprocess.run(
            [sys.executable, "-c", _IMPORT],
            env=clean_env() | env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        times.append(float(run.stdout) * 1000)
    return min(times)


def start_ms(repeats: int, work_dir: Path, cores: Cores, env: dict[str, str]) -> dict[str, float]:
    """Measure the time from the start of `intellirouter serve` to readiness and to an answer of the fake provider.

    Returns medians over `repeats` starts, each with an empty store.
    """
    ready: list[float] = []
    first_answer: list[float] = []
    rss: list[float] = []
    for number in range(repeats):
        directory = work_dir / f"start-{number}"
        directory.mkdir(parents=True)
        (port,) = free_ports(1)
        config = directory / "config.yaml"
        config.write_text(
            f"server: {{host: 127.0.0.1, port: {port}}}\n"
            f"store: sqlite:///{directory}/bench.db\n"
            "providers: {fake: {vendor: fake}}\n"
            "deployments: {fake/echo: {provider: fake, model: echo}}\n"
        )
        command = [intellirouter_command(), "serve", "--config", str(config)]
        server = Server.start("intellirouter", command, clean_env() | env, directory, cores.target)
        try:
            with pinned(cores.rest):
                _wait_ready(server, port)
                ready.append((time.monotonic() - server.started_s) * 1000)
                status, body = send_request(Address(port, "fake/echo"), is_stream=False)
                first_answer.append((time.monotonic() - server.started_s) * 1000)
            if status != 200:
                raise RuntimeError(f"fake/echo responded with status {status}: {body[:300]!r}")
            rss.append(server.rss_bytes() / 1e6)
        finally:
            server.stop()
    return {
        "ready_ms": statistics.median(ready),
        "first_answer_ms": statistics.median(first_answer),
        "rss_after_first_answer_mb": statistics.median(rss),
    }


def _wait_ready(server: Server, port: int) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        server.fail_if_dead()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.005)
    raise TimeoutError(f"{server.name} is not ready after {_START_TIMEOUT_S:g} s.")
