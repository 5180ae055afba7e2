"""Rules for all tests: loopback only, no keys of the machine, no process left behind, repeatable property tests."""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support")

REPO = Path(__file__).resolve().parent.parent
RESERVED_SUFFIXES = (".invalid", ".test", ".example")
CHILD_GRACE_S = 3.0

# There is no deadline per example, because shared machines can be slow. The gate always runs the same examples; `make
# fuzz` searches for new ones.
settings.register_profile("gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_CASES", "20000")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("gate")

# Keys and settings of the developer must neither change a result nor be sent to a vendor.
for _name in list(os.environ):
    if _name.startswith(("INTELLIR", "ORCHESTRATOR_", "RESOURCE_PORTS_")) or _name.endswith(("_API_KEY", "_API_BASE")):
        del os.environ[_name]
for _name in (
    "API_PORT",
    "UI_PORT",
    "LOG_LEVEL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
):
    os.environ.pop(_name, None)
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# Shells start background jobs with SIGINT ignored, and the programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_loopback(host: object) -> bool:
    if not isinstance(host, str):
        return True  # not an internet address: netlink, packet
    if host in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Reject other addresses in an audit hook, which sees the sockets of every library."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        if isinstance(address, tuple) and address and not _is_loopback(address[0]):
            raise RuntimeError(f"Tests may connect to loopback only, not to {address[0]}.")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        if host is None or _is_loopback(host):
            return
        if str(host).endswith(RESERVED_SUFFIXES):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is a reserved name and does not resolve.")
        raise RuntimeError(f"Tests may connect to loopback only, not to {host}.")


sys.addaudithook(_refuse_network)


def _children() -> dict[int, str]:
    """Return the running child processes with their command lines; without /proc, there are none."""
    found: dict[int, str] = {}
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(pid) for pid in task.read_text().split()]
        except OSError:
            continue  # the thread has ended in the meantime
        for pid in pids:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # the process has ended in the meantime
            is_interpreters_own = "resource_tracker" in command or "forkserver" in command
            if state != "Z" and not is_interpreters_own:
                found[pid] = command.strip()
    return found


@pytest.fixture(scope="session", autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    """Fail if a process is left behind. It is set up first and torn down last, after all other fixtures."""
    before = set(_children())
    yield
    deadline = time.monotonic() + CHILD_GRACE_S
    left = {}
    while time.monotonic() < deadline:
        left = {pid: command for pid, command in _children().items() if pid not in before}
        if not left:
            return
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # its Popen may already have waited for it
            os.waitpid(pid, 0)
    pytest.fail("Processes left behind by the tests: " + "; ".join(f"{pid} {name}" for pid, name in left.items()))


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the source tree."""
    return REPO


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    """A private, empty directory whose path is short enough for unix sockets, unlike `tmp_path` under pytest-xdist."""
    with tempfile.TemporaryDirectory(prefix="ir-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections. It stays reserved, so no other process can listen on it."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
