"""Commands run in this process against a scripted gateway: their output and exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from intellirouter.cli import ExitStatus

CHAT = "/v1/chat/completions"
CANDIDATES = [
    {
        "deployment": "big",
        "provider": "lab",
        "upstream_model": "big-1",
        "verdict": "excluded",
        "reason": "breaker open",
        "score": None,
    },
    {
        "deployment": "mini",
        "provider": "openai",
        "upstream_model": "gpt-mini",
        "verdict": "chosen",
        "reason": "cheapest",
        "score": 0.25,
    },
]
DECISION = {
    "model": "auto",
    "strategy": "cost",
    "reason": "mini is cheapest",
    "order": ["mini"],
    "pool_size": 1,
    "candidates": CANDIDATES,
}
RECORD = {
    "request_id": "req_1",
    "started_us": 1_700_000_000_000_000,
    "endpoint": CHAT,
    "tenant": "default",
    "model": "auto",
    "status": 200,
    "deployment": "mini",
    "provider": "openai",
    "upstream_model": "gpt-mini",
    "decision": DECISION,
    "attempts": [
        {
            "deployment": "big",
            "kind": "first",
            "started_ms": 0.0,
            "ended_ms": 40.0,
            "status": 503,
            "outcome": "upstream_unavailable",
            "message": "overloaded",
        },
        {
            "deployment": "mini",
            "kind": "fallback",
            "started_ms": 40.0,
            "first_byte_ms": 60.0,
            "ended_ms": 80.0,
            "status": 200,
            "outcome": "ok",
        },
    ],
    "usage": {"input_tokens": 7, "output_tokens": 2},
    "cost_microusd": 1500,
    "duration_ms": 80.0,
    "cost_usd": "0.001500",
}
FAILED = {**RECORD, "request_id": "req_2", "status": 502, "error_code": "all_attempts_failed", "deployment": None}


def row(record: dict[str, Any]) -> dict[str, Any]:
    names = ("request_id", "started_us", "tenant", "model", "deployment", "status", "duration_ms", "cost_microusd")
    return {name: record[name] for name in names}


def test_gateway_is_at_the_port_that_serve_uses(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTELLIROUTER_BASE_URL")
    monkeypatch.setenv("API_PORT", "1")
    assert "http://127.0.0.1:1." in run("health").stderr
    monkeypatch.setenv("API_PORT", "many")
    assert "API_PORT must be a port number" in run("health").stderr


def test_all_output_formats_contain_the_same_data(run: Any, gateway: Any) -> None:
    report = {"status": "healthy", "version": "9", "uptime_s": 3725.0, "services": {"store": {"state": "ok"}}}
    gateway.on_json("/api/v1/health", report)
    assert json.loads(run("health", "--format", "json").stdout) == report
    assert yaml.safe_load(run("health", "--format", "yaml").stdout) == report
    table = run("health", "--verbose")
    assert table.exit_code == ExitStatus.OK
    assert f"healthy: {gateway.url}, version 9, up 1 h 2 min" in table.stdout
    assert table.stdout.splitlines()[-1].split() == ["store", "ok", "–", "–"]


def test_models_prints_prices_and_optionally_metrics(run: Any, gateway: Any) -> None:
    model = {
        "name": "auto",
        "kind": "model",
        "strategy": "cost",
        "deployments": ["mini"],
        "status": "available",
        "context_tokens": 128000,
        "price": {"input_per_1m_usd": "0.150000", "output_per_1m_usd": "3"},
        "metrics": {"mini": {"in_flight": 1, "attempts": 12, "last_error": None}},
    }
    gateway.on_json("/api/v1/models", {"models": [model], "total": 1, "active": 1})
    plain, full = run("models").stdout, run("models", "--include-metrics").stdout
    assert "0.15" in plain
    assert "3.00" in plain
    assert "ATTEMPTS" not in plain
    assert "ATTEMPTS" in full
    assert "metrics" not in json.loads(run("models", "--format", "json").stdout)["models"][0]
    assert json.loads(run("models", "--include-metrics", "--format", "json").stdout)["models"] == [model]


def test_gateway_without_models_is_reported(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/models", {"models": []})
    assert "No models are available." in run("models").stdout


@pytest.mark.parametrize("command", [("explain",), ("route", "explain")])
def test_explain_lists_the_chosen_deployment_first_with_reasons(
    run: Any, gateway: Any, command: tuple[str, ...]
) -> None:
    document = {"model": "auto", "decision": DECISION, "needs": ["tools"], "input_tokens_estimate": 5}
    gateway.on_json("/api/v1/explain", document)
    result = run(*command, "How are you?", "--model", "auto")
    lines = result.stdout.splitlines()
    assert "mini is cheapest (strategy cost)" in lines[0]
    assert "requires tools" in lines[1]
    assert [line.split()[:2] for line in lines[4:]] == [["1", "mini"], ["–", "big"]]
    assert "breaker open" in lines[5]
    assert gateway.requests[0].json()["messages"] == [{"role": "user", "content": "How are you?"}]


@pytest.mark.parametrize(
    ("order", "pool_size", "settings", "text"),
    [
        (["a"], 1, (2, "next_first"), "2 retries with back-off"),
        (["a", "f"], 1, (1, "next_first"), "1 retry with back-off, then 1 fallback"),
        (["a", "b"], 2, (2, "next_first"), "the next deployment at once, then 2 retries with back-off"),
        (["a", "b"], 2, (2, "same_first"), "2 retries with back-off, then the next deployment at once"),
        (["a", "b"], 2, (0, "same_first"), "the next deployment at once"),
        (["a"], 1, (0, "next_first"), "no further attempt"),
    ],
)
def test_explain_shows_what_follows_a_failure(
    run: Any, gateway: Any, *, order: list[str], pool_size: int, settings: tuple[int, str], text: str
) -> None:
    decision = {**DECISION, "order": order, "pool_size": pool_size}
    document = {"model": "auto", "decision": decision, "retries": settings[0], "retry_order": settings[1]}
    gateway.on_json("/api/v1/explain", document)
    assert f"After a failure: {text}\n" in run("explain", "Hi").stdout


@pytest.mark.parametrize(("continuation", "is_shown"), [("prefill", True), ("off", False)])
def test_explain_shows_whether_streams_are_continued(
    run: Any, gateway: Any, *, continuation: str, is_shown: bool
) -> None:
    gateway.on_json("/api/v1/explain", {"model": "auto", "decision": DECISION, "continuation": continuation})
    assert ("If a stream breaks off: another deployment writes the rest\n" in run("explain", "Hi").stdout) is is_shown


LEARNED = "the 95th percentile of its times to the first content"


@pytest.mark.parametrize(
    ("hedging", "text"),
    [
        ({"after_s": 0.5, "max_share": 0.05}, "is silent for 0.5 s (at most 5% of requests)"),
        (
            {"after_s": None, "max_share": 1, "allows_tools": True},
            f"is silent for {LEARNED} (at most 100% of requests, also requests with tools)",
        ),
    ],
)
def test_explain_shows_hedging(run: Any, gateway: Any, hedging: dict[str, Any], text: str) -> None:
    document = {"model": "auto", "decision": DECISION, "retries": 1, "retry_order": "next_first", "hedging": hedging}
    gateway.on_json("/api/v1/explain", document)
    assert f"Hedging: if the first one {text}\n" in run("explain", "Hi").stdout


def test_explain_shows_the_degradation_ladder(run: Any, gateway: Any) -> None:
    ladder = [
        {"step": "shorten", "deployments": ["a"], "max_input_tokens": 4000},
        {"step": "model small, shorten", "deployments": ["s", "t"], "max_input_tokens": 900},
        {"step": "model tiny", "deployments": ["u"]},
        {"step": "stale", "deployments": [], "stale_s": 3600.0},
        {"step": "refuse", "deployments": [], "message": "Not now."},
    ]
    gateway.on_json("/api/v1/explain", {"model": "auto", "decision": DECISION, "degradation": ladder})
    assert (
        "If all of these fail: shortened to about 4000 tokens, then model small (s, t), shortened to about 900 tokens, "
        "then model tiny (u), then a stored answer that has expired at most 3600 s ago, then a refusal\n"
    ) in run("explain", "Hi").stdout


def test_chat_prints_only_the_answer(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi there."))
    result = run("chat", "Hello", "--model", "mini", "--system", "Be brief.")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hi there.\n", "")
    assert gateway.requests[0].json() == {
        "model": "mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    }


def test_chat_streams_on_request(run: Any, gateway: Any, scripted: Any) -> None:
    chunks = [scripted.sse(scripted.piece("Hi")), scripted.sse(scripted.piece(" you", "stop"), "[DONE]")]
    gateway.on(CHAT, scripted.Reply(chunks=chunks))
    assert run("chat", "Hello", "--stream").stdout == "Hi you\n"
    assert gateway.requests[0].json()["stream"] is True


@pytest.mark.parametrize("arguments", [("chat",), ("chat", "-")])
def test_chat_reads_standard_input(run: Any, gateway: Any, scripted: Any, arguments: tuple[str, ...]) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi."))
    assert run(*arguments, typed="from a pipe").exit_code == ExitStatus.OK
    assert gateway.requests[0].json()["messages"][-1]["content"] == "from a pipe"


def test_chat_with_an_empty_prompt_is_a_usage_error(run: Any, gateway: Any) -> None:
    result = run("chat", typed=" \n")
    assert result.exit_code == ExitStatus.USAGE
    assert "The prompt is empty." in result.stderr
    assert gateway.requests == []


def test_chat_as_json_contains_the_routing_headers(run: Any, gateway: Any, scripted: Any) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    gateway.on_json(
        CHAT,
        scripted.completion("Hi.", tool_calls=[call]),
        x_request_id="req_1",
        x_intellirouter_deployment="mini",
        x_intellirouter_cost_usd="0.000012",
    )
    data = json.loads(run("chat", "Hello", "--format", "json").stdout)
    assert data["text"] == "Hi."
    assert data["tool_calls"] == [{"id": "call_1", "name": "add", "arguments": "{}"}]
    assert (data["request_id"], data["deployment"], data["cost_usd"]) == ("req_1", "mini", "0.000012")
    assert data["usage"]["total_tokens"] == 9


def test_control_characters_are_escaped_in_json(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("\x1b\x9b\u202e"))
    output = run("chat", "Hello", "--format", "json").stdout
    assert output.replace("\n", "").isprintable()
    assert json.loads(output)["text"] == "\x1b\x9b\u202e"


def test_control_characters_are_escaped_in_an_answer(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("a\x1b]0;title\x07b\tc\nd\x9bm"))
    assert run("chat", "Hello").stdout == "a\\x1b]0;title\\x07b\tc\nd\\x9bm\n"


def test_interrupted_stream_prints_its_text_and_then_fails(run: Any, gateway: Any, scripted: Any) -> None:
    error = {"error": {"message": "the engine died", "code": "upstream_disconnected"}}
    gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("Hi"), error)]))
    result = run("chat", "Hello", "--stream")
    assert result.exit_code == ExitStatus.REFUSED
    assert result.stdout == "Hi\n"
    assert "the engine died" in result.stderr


def test_rejection_is_printed_with_hint_wait_time_and_request_id(run: Any, gateway: Any, scripted: Any) -> None:
    body = json.dumps({"error": {"message": "too fast", "code": "rate_limit_exceeded", "hint": "Slow down."}})
    gateway.on(CHAT, scripted.Reply(429, body.encode(), {"x-request-id": "req_7", "retry-after": "3"}))
    result = run("chat", "Hello")
    assert result.exit_code == ExitStatus.REFUSED
    assert result.stderr.splitlines() == [
        "Error: too fast",
        "  Slow down.",
        "  Retry after 3 s.",
        "  Status 429, code rate_limit_exceeded, request ID req_7.",
    ]
    assert len(gateway.requests) == 1


def test_missing_key_is_reported_with_the_option_that_sets_it(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/models", {"error": {"message": "who?"}}, 401)
    assert "--api-key" in run("models").stderr
    run("models", "--api-key", "sk-1")
    assert gateway.requests[-1].headers["authorization"] == "Bearer sk-1"


def test_ca_file_that_cannot_be_used_is_a_usage_error(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("text")
    result = run("models", "--url", "https://localhost:1", "--ca-file", str(file))
    assert result.exit_code == ExitStatus.USAGE
    assert f"The CA file {file} contains no certificate." in result.stderr


def test_socks_proxy_of_the_environment_is_a_usage_error(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://ann:s3cret@proxy.example")
    result = run("models", "--url", "https://gateway.example")
    assert result.exit_code == ExitStatus.USAGE
    assert "SOCKS proxies are not supported." in result.stderr
    assert "s3cret" not in result.stderr


def test_requests_are_listed_with_the_cursor_of_the_next_page(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests", {"requests": [row(RECORD)], "next": "c9"})
    result = run("requests", "list", "--limit", "1", "--model", "auto", "--errors")
    assert "req_1" in result.stdout
    assert "0.001500" in result.stdout
    command = "intellirouter requests list --limit 1 --model auto --errors --before c9"
    assert result.stderr == f"For the next page, run `{command}`.\n"
    assert gateway.requests[0].path == "/api/v1/requests?limit=1&model=auto&errors=1"
    data = json.loads(run("requests", "list", "--format", "json").stdout)
    assert (data["requests"][0]["cost_usd"], data["next"]) == ("0.001500", "c9")


def test_request_is_shown_with_its_attempts_over_time(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests/req_1", RECORD)
    shown = run("requests", "show", "req_1").stdout
    assert "░" * 20 + "·" * 20 in shown
    assert "·" * 20 + "░" * 10 + "█" * 10 in shown
    assert "upstream_unavailable (503)" in shown
    assert "7 in, 2 out" in shown
    assert json.loads(run("requests", "show", "req_1", "--format", "json").stdout) == RECORD


def test_unknown_request_id_is_rejected(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests/nope", {"error": {"message": "No such request.", "code": "x"}}, 404)
    result = run("requests", "show", "nope")
    assert result.exit_code == ExitStatus.REFUSED
    assert "No such request." in result.stderr


def test_tail_prints_past_and_new_requests_once_each(
    run: Any, gateway: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intellirouter.cli.follow.time.sleep", lambda _: None)
    later = {**RECORD, "request_id": "req_3"}
    gateway.on_json("/api/v1/requests", {"requests": [row(FAILED), row(RECORD)], "next": None})
    gateway.on_json("/api/v1/requests/req_1", RECORD)
    gateway.on_json("/api/v1/requests/req_2", FAILED)
    gateway.on("/api/v1/requests/tail", scripted.Reply(chunks=[scripted.sse(FAILED), scripted.sse(later)]))
    result = run("requests", "tail", "--format", "json")
    assert [json.loads(line)["request_id"] for line in result.stdout.splitlines()] == ["req_1", "req_2", "req_3"]
    assert "The gateway closed the connection." in result.stderr
    assert gateway.requests[0].path == "/api/v1/requests/tail"
    only_failed = run("requests", "tail", "--errors").stdout.splitlines()
    assert [line.split()[-1] for line in only_failed] == ["all_attempts_failed"]


def test_tail_without_follow_ends_after_past_requests(run: Any, gateway: Any) -> None:
    gateway.on_json(
        "/api/v1/requests", {"requests": [row(RECORD), {**row(RECORD), "request_id": "gone"}], "next": None}
    )
    gateway.on_json("/api/v1/requests/req_1", RECORD)
    result = run("requests", "tail", "--no-follow", "-n", "2", "--format", "yaml")
    assert [each["request_id"] for each in yaml.safe_load_all(result.stdout)] == ["req_1"]
    assert gateway.requests[0].path == "/api/v1/requests?limit=2"


def test_invalid_gateway_url_is_a_usage_error(run: Any) -> None:
    result = run("health", "--url", "ftp://somewhere")
    assert result.exit_code == ExitStatus.USAGE
    assert "must be an http or https URL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("requests", "list", "--limit", "0"), "0 is less than 1, the smallest allowed value."),
        (("requests", "list", "--limit", "x"), "'x' is not an integer."),
        (("serve", "--port", "65536"), "65536 is greater than 65535, the largest allowed value."),
        (("models", "--format", "xml"), "'xml' is not one of 'table', 'json', 'yaml'."),
    ],
)
def test_invalid_option_value_is_explained(run: Any, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == ExitStatus.USAGE
    assert message in result.stderr
    assert "Input should" not in result.stderr
    assert "Value error" not in result.stderr


def test_server_that_is_not_a_gateway_is_recognized(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on("/api/v1/models", scripted.Reply(200, b"<html>hello</html>"))
    result = run("models")
    assert result.exit_code == ExitStatus.REFUSED
    assert "Check that the address is that of an IntelliRouter gateway" in result.stderr


@pytest.mark.parametrize("is_stream", [True, False])
def test_refusal_is_printed(run: Any, gateway: Any, scripted: Any, is_stream: bool) -> None:
    if is_stream:
        chunk = {"choices": [{"index": 0, "delta": {"refusal": "I cannot help."}, "finish_reason": "stop"}]}
        gateway.on("/v1/chat/completions", scripted.Reply(chunks=[scripted.sse(chunk, "[DONE]")]))
    else:
        message = {"role": "assistant", "content": None, "refusal": "I cannot help."}
        gateway.on_json("/v1/chat/completions", {"choices": [{"message": message, "finish_reason": "stop"}]})
    result = run("chat", "hello", "--stream" if is_stream else "--no-stream")
    assert result.stdout == "I cannot help.\n"


IDS = [f"req_{number:032x}" for number in range(12)]


def page_of(ids: list[str]) -> dict[str, Any]:
    return {"requests": [{**row(RECORD), "request_id": each} for each in ids], "next": None}


def test_request_is_found_by_the_beginning_of_its_id(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests/req_00", {"error": {"message": "No such request."}}, 404)
    gateway.on_json("/api/v1/requests", page_of(IDS[:1]))
    gateway.on_json(f"/api/v1/requests/{IDS[0]}", {**RECORD, "request_id": IDS[0]})
    result = run("requests", "show", "req_00")
    assert result.exit_code == ExitStatus.OK
    assert result.stdout.splitlines()[0] == IDS[0]
    assert "id_prefix=req_00" in gateway.requests[1].path


@pytest.mark.parametrize(("found", "listed"), [(IDS[:2], IDS[:2]), (IDS[:11], [*IDS[:10], "…"])])
def test_ambiguous_beginning_of_an_id_lists_the_requests(
    run: Any, gateway: Any, found: list[str], listed: list[str]
) -> None:
    gateway.on_json("/api/v1/requests/req_00", {"error": {"message": "No such request."}}, 404)
    gateway.on_json("/api/v1/requests", page_of(found))
    result = run("requests", "show", "req_00")
    assert result.exit_code == ExitStatus.FAILURE
    assert result.stderr.splitlines()[0] == "Error: req_00 is ambiguous: the IDs of several requests begin with it."
    assert [line.strip() for line in result.stderr.splitlines()[2:]] == listed


def test_gateway_that_ignores_the_prefix_does_not_show_another_request(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/requests/req_ff", {"error": {"message": "No such request."}}, 404)
    gateway.on_json("/api/v1/requests", page_of(IDS[:1]))
    result = run("requests", "show", "req_ff")
    assert result.exit_code == ExitStatus.REFUSED
    assert "intellirouter requests list" in result.stderr


def test_empty_request_id_is_refused(run: Any) -> None:
    assert run("requests", "show", "").exit_code == ExitStatus.USAGE


@pytest.mark.parametrize(
    "command", [(), ("health",), ("requests",), ("requests", "list"), ("config", "show"), ("completion",)]
)
def test_short_help_option_works_everywhere(run: Any, command: tuple[str, ...]) -> None:
    result = run(*command, "-h")
    assert result.exit_code == ExitStatus.OK
    assert result.stdout.lstrip().startswith("Usage:")


@pytest.mark.parametrize("key", ["secret\nx", "secret\x01", "sécret"])
def test_key_that_cannot_be_sent_is_not_printed(run: Any, gateway: Any, key: str, monkeypatch: Any) -> None:
    result = run("models", "--api-key", key)
    assert result.exit_code == ExitStatus.USAGE
    assert result.stderr.startswith("Error: The given API key contains characters that are not allowed")
    monkeypatch.setenv("INTELLIROUTER_API_KEY", key)
    result = run("models")
    assert "INTELLIROUTER_API_KEY" in result.stderr
    assert "cret" not in result.stderr
    assert gateway.requests == []


def test_key_is_sent_without_white_space_around_it(run: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/models", {"models": []})
    assert run("models", "--api-key", " secret\r\n").exit_code == ExitStatus.OK
    assert gateway.requests[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "command", [("models",), ("chat", "Hi"), ("chat", "Hi", "--stream"), ("requests", "tail"), ("health",)]
)
def test_other_server_is_reported_with_a_hint(run: Any, gateway: Any, scripted: Any, command: tuple[str, ...]) -> None:
    for path in ("/api/v1/models", CHAT, "/api/v1/requests/tail", "/api/v1/health"):
        gateway.on(path, scripted.Reply(body=b"<!doctype html><title>Router login</title>"))
    result = run(*command)
    assert result.exit_code == ExitStatus.REFUSED
    assert result.stderr.startswith("Error: The gateway returned an invalid response: ")
    assert "Check that the address is that of an IntelliRouter gateway" in result.stderr
    assert result.stdout == ""


def test_web_page_as_an_error_is_reported_by_its_title(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on("/api/v1/models", scripted.Reply(404, b"<html><head><title>Not &lt;here&gt;</title></head></html>"))
    result = run("models")
    assert result.stderr.splitlines()[0] == "Error: The response is a web page: Not <here>."
    assert "Check that the address is that of an IntelliRouter gateway" in result.stderr
