"""`requests tail` while the gateway restarts."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from intellirouter.cli import ExitStatus, build_app, follow
from intellirouter.cli.errors import CommandError
from tests.unit.cli.test_commands import RECORD, row

TAIL = "/api/v1/requests/tail"


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {**RECORD, "request_id": f"req_{number}", **fields}


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays before reconnecting, which take no time."""
    found: list[float] = []
    monkeypatch.setattr("intellirouter.cli.follow.time.sleep", found.append)
    return found


@pytest.fixture
def run(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", gateway.url)
    for number in range(1, 6):
        gateway.on_json(f"/api/v1/requests/req_{number}", record(number))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build_app(), ["requests", "tail", "--format", "json", *arguments])

    return run


def ids(result: Result) -> list[str]:
    return [json.loads(line)["request_id"] for line in result.stdout.splitlines()]


def pages(scripted: Any, *pages: list[int], more: str | None = None) -> list[Any]:
    return [
        scripted.Reply(body=json.dumps({"requests": [row(record(each)) for each in page], "next": more}).encode())
        for page in pages
    ]


def test_reconnects_and_prints_every_request_once(run: Any, gateway: Any, scripted: Any, delays: list[float]) -> None:
    gateway.on(TAIL, *(scripted.Reply(chunks=[scripted.sse(record(each)) for each in sent]) for sent in ([2], [4], [])))
    gateway.on("/api/v1/requests", *pages(scripted, [1], [3, 2, 1], [5, 4, 3, 2, 1]))
    result = run("-n", "1")
    assert ids(result) == ["req_1", "req_2", "req_3", "req_4", "req_5"]
    lines = result.stderr.splitlines()
    assert lines[:2] == ["The gateway closed the connection. Reconnecting for up to 60 s.", "Reconnected."]
    assert lines[-2] == "Error: The gateway closes the connection again and again."
    assert result.exit_code == ExitStatus.UNREACHABLE
    assert delays[0] == 0.5


def test_gateway_that_does_not_come_back_is_an_error(
    run: Any, gateway: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.on(TAIL, scripted.Reply(chunks=[scripted.sse(record(2))]), scripted.Reply(503, b"{}"))
    gateway.on("/api/v1/requests", *pages(scripted, [1]))
    now = [0.0]
    monkeypatch.setattr("intellirouter.cli.follow.time.monotonic", lambda: now[0])
    monkeypatch.setattr("intellirouter.cli.follow.time.sleep", lambda delay_s: now.__setitem__(0, now[0] + delay_s))
    result = run()
    assert ids(result) == ["req_1", "req_2"]
    assert "Error: The gateway could not be reached again within 60 s." in result.stderr
    assert result.exit_code == ExitStatus.UNREACHABLE
    assert 50 < now[0] <= 60


def test_key_that_is_refused_after_the_restart_ends_it_at_once(
    run: Any, gateway: Any, scripted: Any, delays: list[float]
) -> None:
    refusal = json.dumps({"error": {"message": "Who are you?"}}).encode()
    gateway.on(TAIL, scripted.Reply(chunks=[scripted.sse(record(2))]), scripted.Reply(401, refusal))
    gateway.on("/api/v1/requests", *pages(scripted, [1]))
    result = run()
    assert "Error: Who are you?" in result.stderr
    assert result.exit_code == ExitStatus.REFUSED
    assert delays == [0.5]


def test_old_requests_are_not_printed_after_reconnecting(
    run: Any, gateway: Any, scripted: Any, delays: list[float]
) -> None:
    gateway.on(TAIL, scripted.Reply(chunks=[]))
    gateway.on("/api/v1/requests", *pages(scripted, [3, 2], [4, 3, 2, 1], more="req_0"))
    assert ids(run("-n", "1")) == ["req_3", "req_4"]


def test_a_first_connection_that_fails_is_an_error_at_once(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on(TAIL, scripted.Reply(503, b"{}"))
    assert run().exit_code == ExitStatus.REFUSED
    assert len(gateway.requests) == 1


def test_delays_grow_up_to_a_limit_and_end() -> None:
    outage, now_s = follow.Outage(), 100.0
    delays: list[float] = []
    while sum(delays) < 55:
        delays.append(outage.next_delay_s(now_s, was_connected=False))
        now_s += delays[-1]
    with pytest.raises(CommandError, match="could not be reached again within 60 s"):
        outage.next_delay_s(now_s + 5.0, was_connected=False)
    assert delays[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert 55 < sum(delays) <= 60
    outage.end()
    assert outage.next_delay_s(now_s, was_connected=True) == 0.5


def test_what_is_remembered_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_MAX_REMEMBERED", 2)
    printed = follow._Printed()
    assert not printed.is_missed("c")
    assert [printed.add(each) for each in ("b", "c", "c", "d", "e")] == [True, True, False, True, True]
    assert [each for each in "abcdefg" if printed.is_missed(each)] == ["f", "g"]
