"""A gateway with paths that cannot be used, and one whose messages cannot be written."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

PROGRAM = f"{sys.executable} -c 'from intellirouter.cli import main; main()'"
DEADLINE_S = 60.0


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ir-") as directory:
        yield Path(directory, "gateway.sock")


def configuration(directory: Path, server: str = "{host: 127.0.0.1, port: 0}", store: str = "") -> Path:
    file = directory / "gateway.yaml"
    lines = (
        f"server: {server}",
        "providers: {lab: {vendor: fake, models: '*'}}",
        f"store: {store or '{url: sqlite:///' + str(directory / 'store.db') + '}'}",
    )
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("{url: sqlite:///{dir}/file/store.db}", "The spool directory {dir}/file/store.spool cannot be used: not a"),
        ("{url: sqlite:///{dir}/a.db, spool_dir: {dir}/file}", "{dir}/file cannot be used: a file is in its place."),
        ("{url: sqlite:///{dir}/a.db, spool_dir: {dir}/loop/x}", "loop/x cannot be used: too many levels of symbolic"),
    ],
)
def test_spool_that_cannot_be_used_is_one_line(tmp_path: Path, store: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    file = configuration(tmp_path, store=store.replace("{dir}", str(tmp_path)))
    command = f"{PROGRAM} serve --config {file}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    (line,) = [each for each in done.stderr.splitlines() if "INFO" not in each]
    assert done.returncode == 1
    assert line.startswith("Error: ")
    assert reason.replace("{dir}", str(tmp_path)) in line


@pytest.mark.parametrize("output", [">&-", ">/dev/full", "2>/dev/full >/dev/full", "<&- >&- 2>&-", "| true"])
def test_gateway_whose_messages_cannot_be_written_serves(tmp_path: Path, socket_path: Path, output: str) -> None:
    file = configuration(tmp_path, server=f"{{unix_socket: {socket_path}}}")
    command = f"{PROGRAM} serve --config {file} {output}"
    gateway = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {command}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer = answer_of(socket_path, gateway)
    finally:
        os.killpg(gateway.pid, signal.SIGTERM)
        status = gateway.wait(DEADLINE_S)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "echo: Hi"
    assert status in {0, -signal.SIGTERM, 128 + signal.SIGTERM}  # that of bash, which gets the signal, too


def answer_of(socket_path: Path, gateway: "subprocess.Popen[bytes]") -> httpx.Response:
    """Return the answer to a request as soon as the gateway serves."""
    request = {"model": "lab/echo", "messages": [{"role": "user", "content": "Hi"}]}
    deadline = time.monotonic() + DEADLINE_S
    while not socket_path.exists():
        assert gateway.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path)), timeout=DEADLINE_S) as client:
        return client.post("http://localhost/v1/chat/completions", json=request)
