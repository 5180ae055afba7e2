"""Signals that arrive while the gateway starts: none of them kills it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

START_S = 30.0
PROGRAM = [sys.executable, "-c", "from intellirouter.cli import main; main()"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(directory: Path, port: int, *, has_file: bool) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    environment |= {"INTELLIR_STORE": f"sqlite:///{directory}/gateway.db", "API_PORT": str(port)}
    (directory / "config.yaml").write_text("providers: {fake: {vendor: fake}}\n")
    option = ["--config", str(directory / "config.yaml")] if has_file else ["--discover"]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            [*PROGRAM, "serve", *option], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )


def wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 2):
            return
        time.sleep(0.001)
    raise AssertionError("The gateway does not listen.")


@pytest.mark.parametrize("has_file", [True, False])
def test_reload_in_the_first_moment_after_listening_does_not_kill(tmp_path: Path, has_file: bool) -> None:
    port = free_port()
    process = start(tmp_path, port, has_file=has_file)
    try:
        wait_until_it_listens(process, port)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            process.send_signal(number)
        expected = "The configuration was reloaded" if has_file else "There is no configuration file to reload"
        deadline = time.monotonic() + START_S
        while expected not in (log := (tmp_path / "log").read_text()) and time.monotonic() < deadline:
            assert process.poll() is None, log
            time.sleep(0.01)
        assert expected in log
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_in_the_first_moment_after_listening_is_a_normal_stop(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    process = start(tmp_path, port, has_file=True)
    try:
        wait_until_it_listens(process, port)
        process.send_signal(number)
        assert process.wait(START_S) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        process.kill()
