"""`health`: why a gateway is not healthy, and its services."""

from typing import Any

from intellirouter.cli import ExitStatus


def test_degraded_gateway_shows_the_reasons_and_one_line_per_worker(run: Any, gateway: Any) -> None:
    store = {"state": "ok", "detail": "ok", "backlog_records": 0}
    workers = [
        {"name": "smol", "state": "ready", "pid": 7, "restarts": 1, "stderr_tail": []},
        {"name": "bad", "state": "failed", "detail": "The file is damaged."},
        {"name": "off", "state": "fetching", "detail": "Looking for x.", "problem": "No network."},
    ]
    gateway.on_json("/api/v1/health", {"status": "degraded", "services": {"store": store, "workers": workers}})
    assert run("health").stdout.splitlines()[1:] == [
        "Reason: worker bad: failed. The file is damaged.",
        "Reason: worker off: fetching. No network.",
    ]
    rows = [line.split("  ") for line in run("health", "--verbose").stdout.splitlines()[5:]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["store", "ok", "–", "backlog records 0"],
        ["worker smol", "ready", "–", "pid 7, restarts 1"],
        ["worker bad", "failed", "The file is damaged.", "–"],
        ["worker off", "fetching", "No network.", "–"],
    ]


def test_a_long_reason_is_shown_once(run: Any, gateway: Any) -> None:
    reason = "The weights cannot be fetched, because the package index does not respond, and the disk is nearly full."
    crash = "The worker of b crashed. The end of its output: out of memory"
    workers = [
        {"name": "a", "state": "backoff", "problem": reason, "restarts": 0},
        {"name": "b", "state": "backoff", "problem": crash, "stderr_tail": ["loading", "out of memory"]},
    ]
    gateway.on_json("/api/v1/health", {"status": "degraded", "services": {"workers": workers}})
    shown = run("health", "--verbose").stdout
    assert shown.count(reason) == shown.count("out of memory") == 1
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.splitlines()[5:]]
    assert rows == [
        ["worker a", "backoff", "see Reason", "restarts 0"],
        ["worker b", "backoff", "see Reason", "stderr tail loading"],
    ]


def test_unhealthy_gateway_exits_with_failure_and_prints_the_report(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/health", {"status": "unhealthy", "warnings": ["the disk is full"]}, 503)
    result = run("health")
    assert result.exit_code == ExitStatus.FAILURE
    assert "Warning: the disk is full" in result.stdout
