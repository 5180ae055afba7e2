"""The measured processes: started on free loopback ports, observed through /proc, stopped by process ID."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_SESSION, _UTIME, _STIME = 3, 11, 12
"""Fields of /proc/PID/stat, counted from the one after the name in parentheses."""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that were free a moment ago."""
    with contextlib.ExitStack() as open_sockets:
        ports = []
        for _ in range(count):
            listener = open_sockets.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


@dataclass(frozen=True)
class Cores:
    """The cores of the measured program and of everything else."""

    target: frozenset[int]
    rest: frozenset[int]

    @classmethod
    def split(cls) -> "Cores":
        """Use one core for the measured program and the others for load and upstream. A single core is shared."""
        available = sorted(os.sched_getaffinity(0))
        if len(available) == 1:
            return cls(frozenset(available), frozenset(available))
        return cls(frozenset(available[:1]), frozenset(available[1:]))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Run processes that are started in this context on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_files() -> int:
    """Raise the soft limit of open files to the hard limit, also for child processes, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass(frozen=True)
class MachineTime:
    """The time that all cores have spent since the machine was started, in seconds."""

    busy_s: float
    """On any program, or stolen."""
    stolen_s: float
    """By other virtual machines on the same host."""
    own_s: float
    """By this process and its child processes that have ended."""
    at_s: float

    @classmethod
    def now(cls) -> "MachineTime":
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = (count * _TICK_US / 1e6 for count in fields)
        busy_s = user + nice + system + irq + softirq + steal
        return cls(busy_s, steal, sum(os.times()[:4]), time.monotonic())

    def others_since(self, before: "MachineTime") -> tuple[float, float]:
        """Return the shares of the machine that other programs used and that was stolen, while this one ran."""
        available_s = (self.at_s - before.at_s) * (os.cpu_count() or 1)
        stolen_s = self.stolen_s - before.stolen_s
        others_s = self.busy_s - before.busy_s - stolen_s - (self.own_s - before.own_s)
        return max(0.0, others_s / available_s), stolen_s / available_s


@dataclass
class Server:
    """A running program and its child processes: one session, so that they can be measured and stopped together."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path
    started_s: float = field(default_factory=time.monotonic)

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], env: Mapping[str, str], work_dir: Path, cores: frozenset[int]
    ) -> "Server":
        log_path = work_dir / f"{name}.log"
        started_s = time.monotonic()
        with log_path.open("ab") as log, pinned(cores):
            process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=work_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return cls(name, process, log_path, started_s)

    def pids(self) -> list[int]:
        """Return the processes of the session."""
        return [pid for pid, fields in _stat_table() if int(fields[_SESSION]) == self.process.pid]

    def cpu_us(self) -> int:
        """Return the user and system time of its processes, in microseconds with the resolution of a kernel tick."""
        total = 0
        for _, fields in _stat_table():
            if int(fields[_SESSION]) == self.process.pid:
                total += (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_US
        return total

    def rss_bytes(self) -> int:
        """Return the resident memory of all its processes. Shared pages are counted in each."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * resource.getpagesize()
        return total

    def peak_rss_bytes(self) -> int:
        """Return the sum of the highest resident memory of its processes."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{pid}/status").read_text()
                total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        return total

    def fail_if_dead(self) -> None:
        if (code := self.process.poll()) is not None:
            tail = self.log_path.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} exited with status {code}:\n{tail}")

    def stop(self) -> None:
        """Stop it and its child processes, with SIGTERM and then SIGKILL."""
        for number, timeout_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline_s = time.monotonic() + timeout_s
            while time.monotonic() < deadline_s:
                self.process.poll()
                if not self.pids():
                    return
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} (process {self.process.pid}) does not stop.")


def thread_times_us(pid: int) -> dict[int, tuple[int, int]]:
    """Return the user and system time of each thread of a process, in microseconds."""
    found = {}
    for entry in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            found[int(entry.name)] = int(fields[_UTIME]) * _TICK_US, int(fields[_STIME]) * _TICK_US
    return found


def _stat_table() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(entry.name), fields
