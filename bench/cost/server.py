"""The measured gateway: one process that can serve every case, under the sampler or under callgrind."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.cost.callgrind import count_by_library
from bench.cost.sampler import START_SIGNAL, STOP_SIGNAL
from bench.cost.steps import CpuTime, Samples
from bench.load import Address, wait_until_ready
from bench.pairs import ANTHROPIC, DIALECTS, PAIRS, SMALL, Pair
from bench.processes import Cores, Server, free_ports, thread_times_us
from bench.run import UNITS
from bench.targets import CLIENT_KEY, UPSTREAM_KEY, Target, clean_env, intellirouter_command
from bench.upstream import Upstream

ROOT: Final = Path(__file__).parents[2]
_START_TIMEOUT_S: Final = 180.0
_DRAINED_S: Final = 2.0
"""The drain writes records within this time."""


@dataclass(frozen=True)
class CostCase:
    """A request or a stream of a pair of dialects."""

    unit: str
    pair: Pair

    @property
    def is_stream(self) -> bool:
        return self.unit == "stream"

    @property
    def model(self) -> str:
        return f"{self.pair.upstream.name}-{self.unit}"


CASES: Final = tuple(CostCase(unit, pair) for unit in UNITS for pair in PAIRS)


@dataclass
class Gateway:
    """A gateway that is running."""

    server: Server
    work_dir: Path
    port: int

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def address(self, case: CostCase) -> Address:
        return Address(self.port, case.model, (("Authorization", f"Bearer {CLIENT_KEY}"),), case.pair.client)

    def thread_times(self) -> dict[int, CpuTime]:
        return {thread: CpuTime(user, system) for thread, (user, system) in thread_times_us(self.pid).items()}

    @contextlib.contextmanager
    def sampled(self, found: list[Samples]) -> Iterator[None]:
        """Sample the process in this context, and append the samples to `found`."""
        number = 1 + len(list(self.work_dir.glob("[0-9]*.json")))
        os.kill(self.pid, START_SIGNAL)
        try:
            yield
        finally:
            os.kill(self.pid, STOP_SIGNAL)
        found.append(read_samples(_wait_for(self.work_dir / f"{number}.json").read_text(encoding="utf-8")))


def read_samples(text: str) -> Samples:
    content = json.loads(text)
    stacks: Counter[tuple[str, ...]] = Counter()
    for count, frames in content["stacks"]:
        stacks[tuple(frames)] += count
    return Samples(stacks, {int(thread): name for thread, name in content["threads"].items()})


def _wait_for(path: Path) -> Path:
    deadline_s = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise TimeoutError("The sampler has written no result.")
        time.sleep(0.01)
    return path


@contextlib.contextmanager
def sampled_gateway(target: Target, upstream: Upstream, work_dir: Path, cores: Cores) -> Iterator[Gateway]:
    """Start a gateway with the sampler, which is inactive at first."""
    command = [sys.executable, "-m", "bench.cost.sampler", str(work_dir)]
    with _running(command, target, upstream, work_dir, cores.target) as gateway:
        yield gateway


@contextlib.contextmanager
def _running(
    command: list[str], target: Target, upstream: Upstream, work_dir: Path, cores: frozenset[int]
) -> Iterator[Gateway]:
    work_dir.mkdir(parents=True)
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text(_config(port, upstream, work_dir), encoding="utf-8")
    env = clean_env() | {"BENCH_UPSTREAM": UPSTREAM_KEY, "BENCH_CLIENT": CLIENT_KEY, "PYTHONHASHSEED": "0"}
    env["PYTHONPATH"] = ":".join(filter(None, (target.env.get("PYTHONPATH"), str(ROOT))))
    server = Server.start(target.name, [*command, "serve", "--config", str(config)], env, work_dir, cores)
    try:
        gateway = Gateway(server, work_dir, port)
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        for case in CASES:
            wait_until_ready(
                gateway.address(case), is_stream=case.is_stream, deadline_s=deadline_s, check=server.fail_if_dead
            )
        yield gateway
    finally:
        server.stop()


def _config(port: int, upstream: Upstream, work_dir: Path) -> str:
    """Return a configuration with one model for each dialect of the upstream and each unit."""
    providers, deployments, models = "", "", ""
    for dialect in DIALECTS:
        for unit in UNITS:
            name = f"{dialect.name}-{unit}"
            vendor, path = ("anthropic", "") if dialect is ANTHROPIC else ("openai-compatible", "/v1")
            base_url = f"http://127.0.0.1:{upstream.port(SMALL, is_stream=unit == 'stream')}{path}"
            providers += f'  {name}: {{vendor: {vendor}, base_url: "{base_url}", credential: "env:BENCH_UPSTREAM"}}\n'
            price = "{input_per_1m_usd: 0.15, output_per_1m_usd: 0.6}"
            deployments += f"  {name}: {{provider: {name}, model: bench-1, price: {price}}}\n"
            models += f"  {name}: {{deployments: [{name}]}}\n"
    return f"""server: {{host: 127.0.0.1, port: {port}}}
auth: {{required: true}}
store: sqlite:///{work_dir}/bench.db
providers:
{providers}deployments:
{deployments}models:
{models}tenants:
  bench: {{}}
keys:
  - {{key: "env:BENCH_CLIENT", tenant: bench, name: bench, models: ["*"]}}
"""


class Instructions:
    """Counts instructions in user space with callgrind."""

    def __init__(self, gateway: Gateway, requests: int) -> None:
        self._gateway = gateway
        self._requests = requests
        self._dumps = 0
        self._idle_per_s: Counter[str] = Counter()
        self._control("-i", "on")
        for case in CASES:
            self._send(case)

    def count(self, case: CostCase) -> dict[str, float]:
        """Return the instructions per request, by library, with those of the drain and without those of idle time."""
        if not self._idle_per_s:
            self._idle_per_s = self._idle()
        self._control("-z")
        began_s = time.monotonic()
        self._send(case)
        time.sleep(_DRAINED_S)
        spent_s = time.monotonic() - began_s
        counts = self._dump()
        return {name: (counts[name] - self._idle_per_s[name] * spent_s) / self._requests for name in counts}

    def _idle(self) -> Counter[str]:
        """Return the instructions per second without requests, in the calmest of several seconds."""
        time.sleep(2 * _DRAINED_S)  # the warm-up is drained more slowly
        seconds = []
        for _ in range(4):
            self._control("-z")
            time.sleep(1.0)
            seconds.append(self._dump())
        return min(seconds, key=Counter.total)

    def _send(self, case: CostCase) -> None:
        address = self._gateway.address(case)
        body = address.body(is_stream=case.is_stream)
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
        try:
            for _ in range(self._requests):
                connection.request("POST", address.path, body, address.all_headers())
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    raise RuntimeError(f"{address.url} responded with status {response.status}.")
        finally:
            connection.close()

    def _dump(self) -> Counter[str]:
        self._dumps += 1
        self._control("-d")
        counts: Counter[str] = Counter()
        for path in self._gateway.work_dir.glob(f"callgrind.{self._dumps}*"):
            with path.open(encoding="utf-8", errors="replace") as profile:
                counts.update(count_by_library(profile))
            path.unlink()
        return counts

    def _control(self, *arguments: str) -> None:
        command = ["callgrind_control", *arguments, str(self._gateway.pid)]
        subprocess.run(command, capture_output=True, check=True, timeout=120)


def has_callgrind() -> bool:
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


@contextlib.contextmanager
def callgrind_gateway(target: Target, upstream: Upstream, work_dir: Path, cores: Cores) -> Iterator[Gateway]:
    """Start a gateway under callgrind, which does not count yet."""
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    command += [f"--callgrind-out-file={work_dir}/callgrind", sys.executable, intellirouter_command()]
    with _running(command, target, upstream, work_dir, cores.target) as gateway:
        yield gateway
