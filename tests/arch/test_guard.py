"""The guards of the suite itself work: otherwise everything else that is green would mean less."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_foreign_address_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
        sock.connect(("192.0.2.1", 80))


def test_a_foreign_name_is_not_even_asked_for() -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.create_connection(("api.openai.com", 443), timeout=1)


def test_a_reserved_name_resolves_nowhere() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("vendor.invalid", 443)


async def test_loopback_is_open() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"ping")
        assert await reader.read() == b"ping"
        writer.close()
        await writer.wait_closed()


def test_keys_of_the_machine_are_not_seen() -> None:
    assert [name for name in os.environ if name.endswith("_API_KEY")] == []
    assert [name for name in os.environ if name.lower().endswith("_proxy")] == []


def test_programs_can_be_interrupted_although_the_suite_is_a_background_job(tmp_path: Path, repo: Path) -> None:
    """A shell starts background jobs with SIGINT ignored, and programs inherit that."""
    (tmp_path / "test_sigint.py").write_text(
        "import signal, subprocess, sys\n"
        "CODE = 'import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)'\n"
        "def test_sigint():\n"
        "    assert subprocess.check_output([sys.executable, '-c', CODE], text=True) == 'True\\n'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--confcutdir={tmp_path}"]
    command += ["-p", "tests.conftest", str(tmp_path)]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode == 0, done.stdout + done.stderr
