"""The program as a process: exit statuses, pipes, a terminal, and what help costs."""

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

PROGRAM = [sys.executable, "-c", "from intellirouter.cli import main; main()"]
DEADLINE_S = 30.0


def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], input=typed, capture_output=True, text=True, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address where nobody listens, and where nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize(
    "command", [("health",), ("models",), ("chat", "Hi"), ("explain", "Hi"), ("requests", "list"), ("requests", "tail")]
)
def test_without_a_gateway_every_command_says_how_to_start_one(nobody: str, command: tuple[str, ...]) -> None:
    done = run(*command, "--url", nobody)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"error: no gateway at {nobody}"
    assert "intellirouter serve" in done.stderr


@pytest.mark.parametrize(
    "command", [("helth",), ("health", "--nope"), ("requests", "list", "--limit", "0"), ("models", "--format", "xml")]
)
def test_a_wrong_command_line_is_status_2(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_a_near_miss_is_guessed() -> None:
    assert "Did you mean 'health'?" in run("helth").stderr


def test_version_is_printed_in_both_spellings() -> None:
    assert run("--version").stdout.startswith("intellirouter ")
    assert run("version").stdout.startswith("intellirouter ")


@pytest.mark.parametrize("command", [(), ("chat",), ("serve",), ("config", "check"), ("requests", "tail")])
def test_help_loads_nothing_that_it_does_not_print(command: tuple[str, ...]) -> None:
    heavy = {"httpx", "pydantic", "rich", "yaml", "sqlalchemy", "fastapi", "uvicorn"}
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr))\n"
        "from intellirouter.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert set(done.stderr.split()) & heavy == set()


def test_a_reader_that_leaves_ends_the_program_quietly() -> None:
    with subprocess.Popen(
        [*PROGRAM, "config", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert "Traceback" not in program.stderr.read()


def test_an_interrupt_ends_a_feed_without_a_traceback(gateway: Any, scripted: Any) -> None:
    record = {"request_id": "req_1", "started_us": 1, "endpoint": "/", "tenant": "t", "status": 200, "duration_ms": 1.0}
    gateway.on("/api/v1/requests/tail", scripted.Reply(chunks=[scripted.sse(record)], then="wait"))
    command = [*PROGRAM, "requests", "tail", "-n", "0", "--url", gateway.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert "req_1" in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        assert program.wait(DEADLINE_S) == 130
        assert program.stderr.read() == ""


class Terminal:
    """The program on a pseudo-terminal, read and typed at as a person would."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "PYTHON_BASIC_REPL": "1"},
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.seen = ""

    def wait_for(self, text: str) -> str:
        """Return what was printed up to `text`, and forget it."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come; so far: {self.seen!r}"
            self._read()
        before, _, self.seen = self.seen.partition(text)
        return before

    def _read(self) -> None:
        try:
            self.seen += os.read(self._ours, 4096).decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # the program closed its side
            assert self.process.wait(DEADLINE_S) is not None
            time.sleep(0.01)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def talk(gateway: Any) -> Iterator[Terminal]:
    terminal = Terminal("chat", "--url", gateway.url, "--model", "mini", "--system", "Be brief.")
    yield terminal
    terminal.close()


def test_a_conversation_remembers_shows_its_cost_and_survives_errors(
    talk: Terminal, gateway: Any, scripted: Any
) -> None:
    done = scripted.sse({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, "[DONE]")
    headers = {"x-request-id": "req_1", "x-intellirouter-deployment": "mini-1"}
    replies = [
        scripted.Reply(headers=headers, chunks=[scripted.sse(scripted.piece("Hello Ann.", "stop")), done]),
        scripted.Reply(503, b'{"error":{"message":"out of order"}}'),
        scripted.Reply(chunks=[scripted.sse(scripted.piece("You are Ann.", "stop")), done]),
    ]
    gateway.on("/v1/chat/completions", *replies)
    record = {"request_id": "req_1", "started_us": 1, "endpoint": "/", "tenant": "t", "status": 200, "duration_ms": 1.0}
    gateway.on_json("/api/v1/requests/req_1", {**record, "cost_microusd": 42})
    talk.wait_for("> ")
    talk.type("I am Ann.\n")
    talk.wait_for("Hello Ann.")
    talk.wait_for("mini-1 · 3 + 4 tokens · $0.000042")
    talk.type("This fails.\n")
    talk.wait_for("error: out of order")
    talk.type("Who am I?\n")
    talk.wait_for("You are Ann.")
    talk.wait_for("cost unknown")
    talk.type("/exit\n")
    assert talk.process.wait(DEADLINE_S) == 0
    asked = [each.json()["messages"] for each in gateway.asked if each.method == "POST"]
    assert [message["content"] for message in asked[-1]] == ["Be brief.", "I am Ann.", "Hello Ann.", "Who am I?"]


def test_commands_of_a_conversation(talk: Terminal, gateway: Any, scripted: Any) -> None:
    gateway.on("/v1/chat/completions", scripted.Reply(chunks=[scripted.sse(scripted.piece("Yes.", "stop"), "[DONE]")]))
    talk.wait_for("/help lists commands")
    talk.type("/help\n")
    talk.wait_for("/reset")
    talk.type("One?\n")
    talk.wait_for("Yes.")
    talk.wait_for("> ")
    talk.type("/reset\n")
    talk.wait_for("forgotten")
    talk.type("/model big\n")
    talk.wait_for("now asking big")
    talk.type("Two?\n")
    talk.wait_for("Yes.")
    talk.wait_for("> ")
    talk.type("\x04")
    assert talk.process.wait(DEADLINE_S) == 0
    last = gateway.asked[-1].json()
    assert last["model"] == "big"
    assert [message["content"] for message in last["messages"]] == ["Be brief.", "Two?"]


def test_an_interrupt_stops_the_answer_and_not_the_conversation(talk: Terminal, gateway: Any, scripted: Any) -> None:
    replies = [
        scripted.Reply(chunks=[scripted.sse(scripted.piece("Once upon"))], then="wait"),
        scripted.Reply(chunks=[scripted.sse(scripted.piece("Fine.", "stop"), "[DONE]")]),
    ]
    gateway.on("/v1/chat/completions", *replies)
    talk.wait_for("> ")
    talk.type("Tell a story.\n")
    talk.wait_for("Once upon")
    talk.process.send_signal(signal.SIGINT)
    talk.wait_for("stopped")
    assert gateway.client_left.wait(5)
    talk.type("Again.\n")
    talk.wait_for("Fine.")
    talk.type("/exit\n")
    assert talk.process.wait(DEADLINE_S) == 0
    assert [message["content"] for message in gateway.asked[-1].json()["messages"]] == ["Be brief.", "Again."]
