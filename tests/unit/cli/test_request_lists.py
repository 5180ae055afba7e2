"""Lists of requests show what the cache did, where it is on."""

from typing import Any

SUMMARY: dict[str, Any] = {
    "request_id": "req_1",
    "started_us": 1_700_000_000_000_000,
    "tenant": "default",
    "model": "auto",
    "deployment": "mini",
    "status": 200,
    "duration_ms": 80.0,
}


def test_list_shows_what_the_cache_did_if_it_is_on(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests", {"requests": [SUMMARY], "next": None})
    assert "CACHE" not in run("requests", "list").stdout
    gateway.on_json("/api/v1/requests", {"requests": [SUMMARY | {"cache": "hit"}, SUMMARY], "next": None})
    heading, hit, other = run("requests", "list").stdout.splitlines()
    column = heading.index("CACHE")
    assert (hit[column:].split()[0], other[column:].split()[0]) == ("hit", "–")


def test_line_of_a_finished_request_shows_what_the_cache_did(run: Any, gateway: Any) -> None:
    record = SUMMARY | {"endpoint": "/v1/chat/completions"}
    gateway.on_json("/api/v1/requests", {"requests": [SUMMARY], "next": None})
    gateway.on_json("/api/v1/requests/req_1", record)
    assert "cache" not in run("requests", "tail", "--no-follow").stdout
    gateway.on_json("/api/v1/requests/req_1", record | {"cache": "joined"})
    assert "cache joined" in run("requests", "tail", "--no-follow").stdout
