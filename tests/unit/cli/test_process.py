"""The program run as a process: exit statuses, pipes, a terminal, and the modules that `--help` loads."""

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
def unused_address() -> Iterator[str]:
    """The address of a port that is bound but does not listen, so that no other process can use it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize(
    "command", [("health",), ("models",), ("chat", "Hi"), ("explain", "Hi"), ("requests", "list"), ("requests", "tail")]
)
def test_unreachable_gateway_is_reported_with_a_hint(unused_address: str, command: tuple[str, ...]) -> None:
    done = run(*command, "--url", unused_address)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"Error: Cannot connect to a gateway at {unused_address}."
    assert "intellirouter serve" in done.stderr


def test_address_with_the_wrong_scheme_is_reported_with_a_hint(gateway: Any) -> None:
    done = run("health", "--url", gateway.url.replace("http:", "https:"))
    assert done.returncode == 4
    assert done.stderr.splitlines()[0].endswith(": it does not use TLS.")
    assert "an address that starts with http" in done.stderr


def test_ids_are_not_broken_on_a_narrow_terminal(gateway: Any) -> None:
    request_id = f"req_{'0' * 32}"
    row = {"request_id": request_id, "started_us": 1, "tenant": "t", "status": 200, "duration_ms": 1.0}
    gateway.on_json("/api/v1/requests", {"requests": [row], "next": None})
    for columns in (40, 60, 80):
        terminal = Terminal("requests", "list", "--url", gateway.url, columns=columns)
        shown = terminal.wait_for("wider terminal")
        terminal.close()
        assert request_id in shown
        assert all(len(line) <= columns for line in shown.splitlines() if request_id in line)


def test_notes_are_wrapped_between_words_on_a_terminal(gateway: Any) -> None:
    row = {"request_id": f"req_{'0' * 32}", "started_us": 1, "tenant": "t", "status": 200, "duration_ms": 1.0}
    gateway.on_json("/api/v1/requests", {"requests": [row], "next": None})
    terminal = Terminal("requests", "list", "--url", gateway.url, columns=40)
    shown = terminal.wait_for("json.")
    terminal.close()
    note = shown[shown.index("Columns that do not fit") :]
    assert all(len(line) <= 40 for line in note.splitlines())
    assert " ".join(note.split()).endswith("Use a wider terminal, or --format")


@pytest.mark.parametrize(
    "command", [("helth",), ("health", "--nope"), ("requests", "list", "--limit", "0"), ("models", "--format", "xml")]
)
def test_invalid_command_line_exits_with_status_2(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 2
    assert "--help" in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("health", "a", "b"), "Unexpected arguments: a b."),
        (("serve", "--confg", "x"), "No such option: --confg. Did you mean --config?"),
        (("--nope",), "No such option: --nope."),
        (("requests", "list", "--limit", "201"), "201 is greater than 200, the largest allowed value."),
    ],
)
def test_usage_errors_are_sentences(command: tuple[str, ...], message: str) -> None:
    assert run(*command).stderr.rstrip().endswith(message)


def test_usage_line_names_required_arguments_as_the_reference_does() -> None:
    assert "requests show [OPTIONS] ID\n" in run("requests", "show", "--help").stdout


def test_similar_command_is_suggested() -> None:
    assert "Did you mean 'health'?" in run("helth").stderr


def test_version_is_printed_by_option_and_command() -> None:
    assert run("--version").stdout.startswith("intellirouter ")
    assert run("version").stdout.startswith("intellirouter ")


@pytest.mark.parametrize("command", [(), ("chat",), ("serve",), ("config", "check"), ("requests", "tail")])
def test_help_loads_no_heavy_modules(command: tuple[str, ...]) -> None:
    heavy = {"httpx", "pydantic", "rich", "yaml", "sqlalchemy", "fastapi"}
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


def test_closed_pipe_prints_no_traceback() -> None:
    with subprocess.Popen(
        [*PROGRAM, "config", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert "Traceback" not in program.stderr.read()


def test_interrupt_ends_tail_without_a_traceback(gateway: Any, scripted: Any) -> None:
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
    """The program on a pseudo-terminal."""

    def __init__(self, *arguments: str, columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "PYTHON_BASIC_REPL": "1", "COLUMNS": str(columns)},
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.seen = ""

    def wait_for(self, text: str) -> str:
        """Wait for `text` and discard it. Returns the output before it."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not printed; so far: {self.seen!r}"
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
def chat(gateway: Any) -> Iterator[Terminal]:
    terminal = Terminal("chat", "--url", gateway.url, "--model", "mini", "--system", "Be brief.")
    yield terminal
    terminal.close()


def test_conversation_keeps_its_history_shows_costs_and_survives_errors(
    chat: Terminal, gateway: Any, scripted: Any
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
    chat.wait_for("> ")
    chat.type("I am Ann.\n")
    chat.wait_for("Hello Ann.")
    chat.wait_for("mini-1 · 3 + 4 tokens · $0.000042")
    chat.type("This fails.\n")
    chat.wait_for("Error: out of order")
    chat.type("Who am I?\n")
    chat.wait_for("You are Ann.")
    chat.wait_for("cost unknown")
    chat.type("/exit\n")
    assert chat.process.wait(DEADLINE_S) == 0
    asked = [each.json()["messages"] for each in gateway.requests if each.method == "POST"]
    assert [message["content"] for message in asked[-1]] == ["Be brief.", "I am Ann.", "Hello Ann.", "Who am I?"]


def test_conversation_commands(chat: Terminal, gateway: Any, scripted: Any) -> None:
    gateway.on("/v1/chat/completions", scripted.Reply(chunks=[scripted.sse(scripted.piece("Yes.", "stop"), "[DONE]")]))
    gateway.on_json("/api/v1/models", {"models": [{"name": "mini"}, {"name": "big-1"}, {"name": "lab/*"}]})
    chat.wait_for("Type /help for commands")
    chat.type("/help\n")
    chat.wait_for("/reset")
    chat.type("One?\n")
    chat.wait_for("Yes.")
    chat.wait_for("> ")
    chat.type("/reset\n")
    chat.wait_for("The conversation was cleared.")
    chat.type("/model big\n")
    chat.wait_for("Now using big.")
    chat.wait_for("Warning: The gateway does not list the model big. Did you mean big-1?")
    chat.type("/foo\n")
    chat.wait_for("Unknown command `/foo`.")
    chat.type("Two?\n")
    chat.wait_for("Yes.")
    chat.wait_for("> ")
    chat.type("\x04")
    assert chat.process.wait(DEADLINE_S) == 0
    last = gateway.requests[-1].json()
    assert last["model"] == "big"
    assert [message["content"] for message in last["messages"]] == ["Be brief.", "Two?"]


def test_interrupt_stops_the_answer_but_not_the_conversation(chat: Terminal, gateway: Any, scripted: Any) -> None:
    replies = [
        scripted.Reply(chunks=[scripted.sse(scripted.piece("Once upon"))], then="wait"),
        scripted.Reply(chunks=[scripted.sse(scripted.piece("Fine.", "stop"), "[DONE]")]),
    ]
    gateway.on("/v1/chat/completions", *replies)
    chat.wait_for("> ")
    chat.type("Tell a story.\n")
    chat.wait_for("Once upon")
    chat.process.send_signal(signal.SIGINT)
    chat.wait_for("Stopped.")
    assert gateway.client_left.wait(5)
    chat.type("Again.\n")
    chat.wait_for("Fine.")
    chat.type("/exit\n")
    assert chat.process.wait(DEADLINE_S) == 0
    assert [message["content"] for message in gateway.requests[-1].json()["messages"]] == ["Be brief.", "Again."]
