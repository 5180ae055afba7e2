"""Records of exchanges between two dialects: exact usage and cost, headers, losses."""

import json
import sqlite3
from typing import Any

import pytest

from tests.support.gateway.process import until
from tests.support.translation.prompt import Prompt, Tool
from tests.support.translation.usage import buckets, of_path, replayed
from tests.support.translation.world import BOTH, CLIENTS, PRICE, UPSTREAMS, World, cost_of, unique

PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]
COUNTED = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def recorded(record: dict[str, Any]) -> dict[str, int]:
    return {name: record["usage"][name] for name in COUNTED if record["usage"].get(name)}


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("extra", ["", "usage_details"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_usage_and_cost_are_exact(world: World, client: str, upstream: str, extra: str, stream: bool) -> None:
    """Send the gateway's request to the vendor again: the same request costs the same tokens."""
    if extra:
        world.vendor.fault("extra", what=extra)
    mark = unique()
    text = f"{mark} seventeen words would be far too many " * 5
    # Completions have 16 tokens by default.
    answer = world.ask(client, upstream, stream=stream, text=text, max_tokens=300 if client == "completions" else None)
    assert answer.status == 200, answer.body
    (sent,) = world.sent(mark)
    expected = buckets(of_path(upstream, sent["path"]), replayed(sent, world.vendor.url, world.http))
    record = world.record(answer)
    assert recorded(record) == expected
    assert not record["usage"].get("is_estimated", False)
    assert record["cost_microusd"] == cost_of(expected)
    assert (record["deployment"], record["provider"]) == (f"{upstream}-priced", upstream)
    assert (record["upstream_model"], record["model"]) == (UPSTREAMS[upstream].model, upstream)
    assert record.get("is_stream", False) is stream
    assert record["finish_reason"] == "stop"
    # The usage that the client received equals the billed usage.
    said_in = sum(expected.get(name, 0) for name in COUNTED[:3])
    said_out = sum(expected.get(name, 0) for name in COUNTED[3:])
    assert (answer.parsed.input_tokens, answer.parsed.output_tokens) == (said_in, said_out)


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_receives_decision_headers(world: World, client: str, stream: bool) -> None:
    answer = world.ask(client, "anthropic-then-gemini" if stream else "gemini", stream=stream)
    record = world.record(answer)
    headers = answer.headers
    assert headers["x-intellirouter-deployment"] == record["deployment"]
    assert headers["x-intellirouter-strategy"] == "priority"
    assert headers["x-intellirouter-attempts"] == str(len(record["attempts"]))
    assert headers["x-intellirouter-reason"] == record["decision"]["reason"]
    assert ("x-intellirouter-cost-usd" in headers) is not stream
    assert headers["content-type"].partition(";")[0] == kind_of(client, stream=stream)
    assert ("request-id" in headers) is (client == "messages")


def kind_of(client: str, *, stream: bool) -> str:
    if not stream or client == "gemini_array":
        return "application/json"
    return "application/x-ndjson" if client in {"ollama", "generate"} else "text/event-stream"


KNOBS: dict[str, dict[str, Any]] = {
    "chat": {"seed": 7, "logit_bias": {"5": 1}, "presence_penalty": 0.5, "user": "u-1", "x_unknown": 1},
    "responses": {"prompt_cache_key": "k", "safety_identifier": "s", "x_unknown": 1},
    "messages": {"top_k": 5, "metadata": {"user_id": "u-1"}, "x_unknown": 1},
    "gemini": {"generationConfig": {"topK": 5, "seed": 3}, "labels": {"a": "b"}, "xUnknown": 1},
    "ollama": {"options": {"seed": 3, "mirostat": 1, "num_ctx": 2048}, "keep_alive": "5m", "x_unknown": 1},
}
"""Tuning parameters that some upstreams do not support."""
ALIASES = {"safety_identifier": "user"}
"""Fields with two names."""


def losses_of(header: str) -> list[str]:
    return [each.strip().partition(";")[0] for each in header.split(",")] if header else []


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", KNOBS)
def test_only_fields_without_effect_are_reported_as_dropped(
    world: World, client: str, upstream: str, stream: bool
) -> None:
    mark = unique()
    answer = world.ask(client, upstream, stream=stream, text=mark, more=KNOBS[client])
    same = {"chat": {"openai", "azure"}, "responses": {"openai", "azure", "responses"}}
    if upstream in same.get(client, {"messages": {"anthropic"}}.get(client, {client})):
        (sent,) = world.sent(mark)  # passthrough keeps all members
        assert "x_unknown" in sent["body"] or "xUnknown" in sent["body"]
        return
    assert answer.status == 200, answer.body
    named = losses_of(answer.headers.get("x-intellirouter-dropped", ""))
    record = world.record(answer)
    assert [each.partition(";")[0] for each in record["dropped"]] == named
    assert {"x_unknown", "xUnknown"} & set(named)
    (sent,) = world.sent(mark)
    body = json.loads(sent["body"])
    assert "x_unknown" not in body
    for name, value in KNOBS[client].items():
        for knob in value if name in {"generationConfig", "options"} else [name]:
            is_named = any(knob in each or ALIASES.get(knob) == each for each in named)
            assert is_said(knob, sent["body"]) or is_named, (knob, named)


def is_said(knob: str, body: str) -> bool:
    """Return whether a parameter reached the upstream under any of its names."""
    spellings = {
        "topK": ("topK", "top_k"),
        "top_k": ("topK", "top_k"),
        "presence_penalty": ("presence_penalty", "presencePenalty"),
        "metadata": ("metadata", '"user"', "safety_identifier", "requestMetadata", "user_id"),
        "user": ('"user"', "safety_identifier", "user_id"),
        "safety_identifier": ("safety_identifier", '"user"', "user_id"),
        "labels": ('"labels"', '"metadata"', "requestMetadata"),
    }
    return any(f'"{each.strip(chr(34))}":' in body.replace(": ", ":") for each in spellings.get(knob, (knob,)))


def test_ledger_totals_match_the_records_of_all_dialects(world: World) -> None:
    answers = [
        world.ask(client, upstream, stream=stream, text=f"ledger {client}")
        for client, upstream in PAIRS[::3]
        for stream in BOTH
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    spent = sum(world.record(answer)["cost_microusd"] for answer in answers)
    marks = ",".join("?" * len(ids))
    with sqlite3.connect(f"file:{world.gateway.database}?mode=ro", uri=True) as connection:
        rows = until(
            lambda: found if len(found := _rows(connection, marks, ids)) == len(ids) else [],
            "the ledger has the requests",
        )
    connection.close()
    assert sum(row[0] for row in rows) == spent > 0


def _rows(connection: sqlite3.Connection, marks: str, ids: list[str]) -> list[tuple[int]]:
    statement = f"SELECT cost_microusd FROM ledger_entries WHERE request_id IN ({marks})"
    return connection.execute(statement, ids).fetchall()


@pytest.mark.parametrize("stream", BOTH)
def test_cached_input_is_billed_as_written_then_as_read(world: World, stream: bool) -> None:
    text = f"{unique()} a long prefix " * 400
    cached = {"system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}
    first = world.record(world.ask("messages", "anthropic", stream=stream, more=cached))
    second = world.record(world.ask("messages", "anthropic", stream=stream, more=cached))
    written, read = first["usage"]["cache_write_tokens"], second["usage"]["cache_read_tokens"]
    assert written == read > 400
    assert first["cost_microusd"] - second["cost_microusd"] == pytest.approx(
        written * (PRICE["cache_write_per_1m_usd"] - PRICE["cache_read_per_1m_usd"]), abs=1
    )


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize(
    ("client", "upstream"), [("chat", "anthropic"), ("gemini", "bedrock"), ("messages", "bedrock")]
)
def test_prompt_cache_marks_of_the_gateway_save_money(world: World, client: str, upstream: str, stream: bool) -> None:
    system = f"{unique()} a long prefix " * 1200
    first, second = (
        world.record(world.ask(client, upstream, stream=stream, system=system, text=f"turn {number}"))
        for number in range(2)
    )
    assert [each["attempts"][0]["cache_marks"] for each in (first, second)] == [1, 1]
    written, read = first["usage"]["cache_write_tokens"], second["usage"]["cache_read_tokens"]
    assert written == read > 2048
    price = PRICE["input_per_1m_usd"]
    lost = written * (PRICE["cache_write_per_1m_usd"] - price)
    assert first["prompt_cache_saved_microusd"] == pytest.approx(-lost, abs=1)
    assert second["prompt_cache_saved_microusd"] == pytest.approx(
        read * (price - PRICE["cache_read_per_1m_usd"]), abs=1
    )
    assert first["cost_microusd"] > second["cost_microusd"]


@pytest.mark.parametrize("stream", BOTH)
def test_relayed_requests_get_no_prompt_cache_marks(world: World, stream: bool) -> None:
    mark = unique()
    record = world.record(world.ask("messages", "anthropic", stream=stream, system=f"{mark} long " * 3000))
    assert "cache_control" not in world.sent(mark)[-1]["body"]
    assert "cache_marks" not in record["attempts"][0]
    assert "prompt_cache_saved_microusd" not in record


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_usage_of_several_choices_is_exact(world: World, upstream: str, stream: bool) -> None:
    """`n` with upstreams that return one choice is emulated, counted and reported."""
    mark = unique()
    answer = world.call(
        "/v1/chat/completions",
        {"model": upstream, "messages": [{"role": "user", "content": mark}], "n": 3, "stream": stream},
    )
    assert answer.status_code == 200, answer.text
    sent = world.sent(mark)
    record = world.record(answer)
    if len(sent) > 1:
        assert len(sent) == 3
        assert "n" in losses_of(answer.headers["x-intellirouter-dropped"])
        each = [buckets(upstream, replayed(one, world.vendor.url, world.http)) for one in sent]
        assert recorded(record) == {name: sum(one.get(name, 0) for one in each) for name in each[0]}
    if not stream:
        assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1, 2]
        assert all(mark in choice["message"]["content"] for choice in answer.json()["choices"])
        return
    texts = {0: "", 1: "", 2: ""}
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                texts[choice["index"]] += choice["delta"].get("content") or ""
    assert all(mark in text for text in texts.values())


def test_tool_results_count_as_input(world: World) -> None:
    prompt = Prompt(text='call weather with {"city": "Oslo"}', tools=[Tool("weather")])
    first = world.ask("messages", "ollama", prompt)
    prompt.called, prompt.results = first.parsed.calls, ["sunny " * 100]
    second = world.ask("messages", "ollama", prompt)
    assert world.record(second)["usage"]["input_tokens"] > world.record(first)["usage"]["input_tokens"] + 99
