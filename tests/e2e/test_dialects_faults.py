"""Upstreams of every dialect that fail, send malformed answers or stop sending; clients that disconnect."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import until
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.prompt import SCHEMA, Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, UPSTREAMS, Answer, World, unique

WEATHER, CLOCK = Tool("weather"), Tool("clock", "Tells the time.")
SOME_CLIENTS = ["chat", "responses", "messages", "gemini", "ollama"]
NEXT = dict(zip(UPSTREAMS, [*list(UPSTREAMS)[1:], next(iter(UPSTREAMS))], strict=True))
"""The fallback of each upstream."""


def check_ending(answer: Answer, stream: bool) -> None:
    """Assert that the client received a typed error or a complete answer, never a partial one that looks complete."""
    if answer.status != 200:
        assert answer.status in {400, 429, 502, 503, 504, 529}, answer.body
        assert answer.parsed.error
        return
    assert answer.parsed.is_complete or (stream and answer.parsed.error), answer.body[-500:]


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("first", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_fallback_of_another_dialect_answers(world: World, client: str, first: str, stream: bool) -> None:
    """The second attempt is encoded from the client's request, not from that of the first attempt."""
    second = NEXT[first]
    world.break_first(first, "error", status=500)
    mark = unique()
    answer = world.ask(client, f"{first}-then-{second}", stream=stream, text=f"Žluť {mark}", system=f"Be {mark}.")
    assert answer.status == 200, answer.body
    assert answer.parsed.text.endswith(f": Žluť {mark}")
    assert answer.parsed.is_complete
    assert answer.headers["x-intellirouter-deployment"] == f"{second}-priced"
    assert answer.headers["x-intellirouter-attempts"] == "2"
    record = world.record(answer)
    assert [(each["deployment"], each["outcome"]) for each in record["attempts"]] == [
        (f"{first}-broken", "upstream_unavailable"),
        (f"{second}-priced", "ok"),
    ]
    assert record["cost_microusd"] > 0
    assert len(world.sent(mark)) == 2


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", ["chat", "messages", "gemini"])
def test_tools_and_structured_output_survive_a_failover(world: World, client: str, stream: bool) -> None:
    world.break_first("anthropic", "error", status=529)
    prompt = Prompt(text='call weather with {"city": "Oslo"}', tools=[WEATHER], system="Be brief.")
    answer = world.ask(client, "anthropic-then-gemini", prompt, stream=stream)
    assert [(call.name, call.arguments) for call in answer.parsed.calls] == [("weather", {"city": "Oslo"})]
    prompt.called, prompt.results, prompt.raw_turn = answer.parsed.calls, ["sunny"], answer.parsed.raw_turn
    # Anthropic ignores Gemini's signature, which must still be there when the conversation continues with Gemini.
    again = world.ask(client, "anthropic-then-gemini", prompt, stream=stream)
    assert again.status == 200, again.body
    assert "sunny" in again.parsed.text
    formed = world.ask(client, "anthropic-then-gemini", stream=stream, schema=SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(formed.parsed.text))


@pytest.mark.parametrize("stream", BOTH)
def test_losses_are_those_of_the_attempt_that_answered(world: World, stream: bool) -> None:
    world.break_first("anthropic", "error", status=500)
    answer = world.ask("chat", "anthropic-then-gemini", stream=stream, more={"seed": 7, "logit_bias": {"5": 1}})
    dropped = answer.headers["x-intellirouter-dropped"]
    assert "logit_bias" in dropped
    assert "seed" not in dropped  # Anthropic does not support a seed, Gemini does


@pytest.mark.parametrize("stream", BOTH)
def test_unsupported_feature_leads_to_a_deployment_that_supports_it(world: World, stream: bool) -> None:
    """Ollama does not support a forced tool together with an output format, so another deployment is tried."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"tools": [WEATHER, CLOCK], "tool_choice": "required", "schema": schema}
    answer = world.ask("chat", "ollama-then-anthropic", stream=stream, text="hi", **wanted)
    assert answer.status == 200, answer.body
    assert answer.parsed.calls
    outcomes = [each["outcome"] for each in world.record(answer)["attempts"]]
    assert outcomes[-1] == "ok"
    assert not [sent for sent in world.sent() if sent["path"] == "/api/chat"]


FAULTS: dict[str, dict[str, Any]] = {
    "dropped before the headers": {"kind": "drop", "at": "headers"},
    "dropped in the middle": {"kind": "drop", "at": "middle"},
    "reset in the middle": {"kind": "reset", "at": "middle"},
    "truncated": {"kind": "malformed", "how": "truncated"},
    "no JSON": {"kind": "malformed", "how": "json"},
    "invalid UTF-8": {"kind": "malformed", "how": "utf8"},
    "invalid UTF-8 in the text": {"kind": "malformed", "how": "utf8_in_text"},
    "empty": {"kind": "malformed", "how": "empty"},
    "no last event": {"kind": "malformed", "how": "no_done"},
    "error at once": {"kind": "error_in_stream", "after_events": 0},
    "error in the middle": {"kind": "error_in_stream", "after_events": 2},
    "no finish": {"kind": "malformed", "how": "no_finish_reason"},
    "endless repetition": {"kind": "malformed", "how": "repetition"},
    "changing ids": {"kind": "malformed", "how": "changing_ids"},
    "unknown members": {"kind": "extra", "what": "unknown_fields"},
    "no usage": {"kind": "extra", "what": "usage_missing"},
    "thoughts unasked": {"kind": "extra", "what": "reasoning"},
    "tiny pieces": {"kind": "slow_drip", "delay_s": 0.0, "bytes": 3},
}


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("fault", FAULTS)
def test_upstream_faults_are_errors_for_the_client(world: World, fault: str, upstream: str, stream: bool) -> None:
    """Every client receives a complete answer or a typed error, possibly from the fallback, and nothing hangs."""
    turn = (list(FAULTS).index(fault) + list(UPSTREAMS).index(upstream)) % 2  # each client is tested with half of them
    for client in SOME_CLIENTS[turn::2] if stream else SOME_CLIENTS[turn + 1 : turn + 2]:
        world.break_first(upstream, **FAULTS[fault])
        if (client, fault) == ("chat", "changing ids") and upstream in {"openai", "azure"}:
            continue  # passthrough keeps the ids
        answer = world.ask(client, f"{upstream}-then-{NEXT[upstream]}", stream=stream, text="some words to say")
        check_ending(answer, stream)
        if not answer.parsed.error:
            assert "some words to say" in answer.parsed.text
        else:
            assert world.record(answer)["error_code"] not in {None, "internal_error"}


WHOLE_ANSWERS = ["dropped before the headers", "truncated", "no JSON", "invalid UTF-8", "empty", "error at once"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("fault", WHOLE_ANSWERS)
@pytest.mark.parametrize("client", SOME_CLIENTS)
def test_malformed_answer_leads_to_a_fallback(world: World, client: str, fault: str, upstream: str) -> None:
    world.break_first(upstream, **FAULTS[fault])
    answer = world.ask(client, f"{upstream}-then-{NEXT[upstream]}", text="some words")
    assert answer.status == 200, answer.body
    assert answer.headers["x-intellirouter-deployment"] == f"{NEXT[upstream]}-priced"


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", ["dropped in the middle", "no last event", "error in the middle"])
def test_broken_stream_never_ends_like_a_complete_one(world: World, client: str, upstream: str, fault: str) -> None:
    """After content has been sent, a failure is one typed error event at the end of the stream."""
    world.break_first(upstream, **FAULTS[fault])
    text = "many words to say before it breaks " * 4
    answer = world.ask(client, f"{upstream}-then-{NEXT[upstream]}", stream=True, text=text, max_tokens=500)
    assert answer.status == 200
    if answer.headers["x-intellirouter-deployment"] == f"{NEXT[upstream]}-priced":
        assert answer.parsed.is_complete  # nothing had been sent yet
        return
    record = world.record(answer)
    if fault == "no last event" and not answer.parsed.error:
        # The finish reason has arrived. Only the end marker and the usage are missing.
        assert answer.parsed.finish == "stop"
        assert answer.parsed.text.endswith(text.strip()) or answer.parsed.text.rstrip().endswith(text.rstrip())
        return
    assert answer.parsed.error, answer.body[-300:]
    assert not answer.parsed.is_complete
    assert record["error_code"]
    assert record["usage"]["output_tokens"] > 0  # the model has produced content
    assert len(record["attempts"]) == 1


def is_relay(client: str, upstream: str) -> bool:
    same = {"chat": {"openai", "azure"}, "responses": {"openai", "azure", "responses"}, "messages": {"anthropic"}}
    return upstream in same.get(client, {client})


CONTENT_FAULTS = ["truncated_tool_args", "duplicate_ids", "schema_violation"]


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("how", CONTENT_FAULTS)
def test_malformed_content_is_repaired_or_rejected(world: World, how: str, upstream: str, stream: bool) -> None:
    """Arguments that are not valid JSON, duplicate ids, JSON that does not match the schema."""
    model = f"{upstream}-then-{NEXT[upstream]}"
    prompt = Prompt(text='call weather with {"city": "Oslo"} call weather with {"city": "Rome"}', tools=[WEATHER])
    if how == "schema_violation":
        prompt = Prompt(text="Who?", schema=SCHEMA)
    for client in SOME_CLIENTS:
        world.break_first(upstream, "malformed", how=how)
        answer = world.ask(client, model, prompt, stream=stream)
        check_ending(answer, stream)
        if answer.parsed.error or not answer.parsed.is_complete:
            assert world.record(answer)["error_code"] == "upstream_malformed"
            continue
        if how == "schema_violation":  # The stream has passed, and its end says what is wrong.
            Draft202012Validator(SCHEMA).validate(json.loads(answer.parsed.text))
            continue
        if how == "duplicate_ids":
            assert [call.arguments for call in answer.parsed.calls] == [{"city": "Oslo"}, {"city": "Rome"}]
            if client in {"chat", "responses", "messages"} and not (stream and is_relay(client, upstream)):
                assert len({call.id for call in answer.parsed.calls}) == 2


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_silent_upstream_times_out(world: World, upstream: str, stream: bool) -> None:
    """Before the first content, a timeout is a failed attempt; afterwards it ends the stream."""
    world.vendor.fault("hang", match={"model": "*-silent"}, after_events=6 if stream else -1)
    answer = world.ask("messages", f"{upstream}-silent", stream=stream, text="word " * 30)
    assert answer.status == (200 if stream else 504)
    assert "timeout" in (answer.parsed.error or "")
    assert not answer.parsed.is_complete
    assert world.record(answer)["attempts"][0]["outcome"] == "upstream_timeout"


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", ["chat", "responses", "messages", "gemini", "ollama"])
def test_client_disconnect_aborts_the_upstream_request(world: World, client: str, upstream: str, stream: bool) -> None:
    """The client disconnects before the first byte, streamed or not, and in the middle of a stream."""
    faults: list[dict[str, Any]] = [{"kind": "hang"}, {"kind": "hang", "after_events": 6}]
    mark = unique()
    for fault in faults[: 1 + stream]:
        world.break_first(upstream, **fault)
        request = CLIENTS[client].build(Prompt(text=f"{mark} word " * 8), f"{upstream}-broken", stream=stream)
        with RawConnection(world.gateway.port) as link:
            link.send_post(json.dumps(request.body).encode(), request.path, authorization=f"Bearer {KEYS['bob']}")
            until(lambda: world.sent(mark), "the upstream has the request")
            if "after_events" in fault:
                assert link.head()[0] == 200
                assert link.chunk()
        until(lambda: [each for each in world.sent(mark) if each["is_aborted"]], "the upstream sees the abort", 3)
    if client == "chat":
        until(lambda: gone(world, f"{upstream}-broken"), "it is recorded", 3)


def gone(world: World, model: str) -> list[dict[str, Any]]:
    found = world.gateway.get("/api/v1/requests", key=KEYS["bob"], model=model, limit=1).json()["requests"]
    return [row for row in found if row["status"] == 499]


def test_no_request_is_in_flight_at_the_end(world: World) -> None:
    until(lambda: world.gateway.get("/api/v1/health").json()["in_flight"] == 0, "nothing is in flight")
