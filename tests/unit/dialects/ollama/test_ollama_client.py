"""Ollama's clients: rejected requests, encoded responses and streams, model loads."""

import json

import pytest

from intellirouter.core import LossReport, Usage, errors
from intellirouter.core.deployment import Deployment, UpstreamAddress
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Foreign,
    Media,
    Opaque,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    Refusal,
    RefusalDelta,
    Response,
    Source,
    Stop,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    ToolResult,
    UsageUpdate,
    WholePart,
    collect,
    events_of,
)
from intellirouter.dialects.ollama import (
    CLIENT,
    ERRORS,
    GENERATE_CLIENT,
    LOAD_ROUTE,
    UPSTREAM,
    is_load,
)
from intellirouter.dialects.ollama.loading import load_answer
from intellirouter.testing import FakeClock
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = Deployment(
    name="openai/gpt",
    provider="openai",
    vendor="openai",
    upstream_model="gpt",
    address=UpstreamAddress(base_url="http://x"),
)


def chat(**more):
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}
    return CLIENT.decode_request(json.dumps(body).encode())


def generate(**more):
    return GENERATE_CLIENT.decode_request(json.dumps({"model": "m", "prompt": "Hi", **more}).encode())


def answer(*parts, reason="stop", usage=None, **more):
    return Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))], usage=usage, **more)


def encoded(response, client=CLIENT, call=None):
    losses = LossReport()
    body = json.loads(client.encode(response, call or (chat() if client is CLIENT else generate()), losses))
    return body, [str(loss) for loss in losses.taken()]


def lines(events, client=CLIENT, losses=None):
    encoder = client.stream(chat() if client is CLIENT else generate(), losses or LossReport())
    wire = encoder.encode([event for event in events if not isinstance(event, StreamEnded)]) + encoder.end()
    assert wire.endswith(b"\n")
    return [json.loads(line) for line in wire.splitlines()]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "images": ["https://x.org/a.png"]}]}, "messages[0].images"),
        ({"messages": [{"role": "user", "images": [3]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": 3}}]}]}, None),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, None),
        ({"think": "hard"}, "think"),
        ({"think": 3}, "think"),
        ({"format": "xml"}, "format"),
        ({"format": []}, "format"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"temperature": True}}, "options.temperature"),
        ({"options": {"top_p": 10**400}}, "options.top_p"),
        ({"options": {"seed": 2**60}}, "options.seed"),
        ({"options": {"stop": [1]}}, "options.stop"),
        ({"options": []}, "options"),
        ({"tools": [{"type": "function"}]}, None),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, None),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"keep_alive": {}}, "keep_alive"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
    ],
)
def test_the_invalid_member_is_named(more, param):
    with pytest.raises(errors.InvalidRequest) as caught:
        chat(**more)
    if param is not None:
        assert caught.value.param == param
    assert json.loads(ERRORS.encode(caught.value)).keys() == {"error"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"model":"m\xff"}', b"[" * 100_000, b'{"model":"\\ud800"}']
)
@pytest.mark.parametrize("client", [CLIENT, GENERATE_CLIENT])
def test_bodies_that_are_not_an_object_are_rejected(client, body):
    with pytest.raises(errors.InvalidRequest):
        client.decode_request(body)


def test_an_image_url_in_a_prompt_is_rejected():
    with pytest.raises(errors.InvalidRequest, match="expected base64 data, but got a URL"):
        generate(images=["http://x.org/a.png"])


def test_line_breaks_in_base64_are_removed():
    conversation = GENERATE_CLIENT.decode(generate(images=["iVBO\r\nRw0KGgo=\n"]))
    assert conversation.messages[0].parts[0].source == Source(data="iVBORw0KGgo=", media_type="image/png")


def test_needs_follow_from_the_request():
    wav = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
    assert chat().needs == frozenset()
    assert chat(tools=[{"function": {"name": "a"}}], format={"type": "object"}).needs == {"tools", "json_schema"}
    assert chat(messages=[{"role": "user", "images": ["iVBORw0KGgo="]}]).needs == {"vision"}
    assert generate(images=[wav]).needs == {"audio"}
    assert chat(messages=[], format={"type": "object"}).needs == frozenset()  # a load
    assert chat(options={"num_predict": 5}).max_output_tokens == 5


def test_generated_call_ids_are_the_same_for_the_same_history():
    history = [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {}}}]}]
    assert CLIENT.decode(chat(messages=history)) == CLIENT.decode(chat(messages=history))


def test_a_complete_response(monkeypatch):
    times = iter([3 * 10**9, 7 * 10**9])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    usage = Usage(input_tokens=5, cache_read_tokens=3, output_tokens=2, reasoning_tokens=4)
    body, losses = encoded(
        answer(Reasoning(text="Hm"), Text(text="Hello"), usage=usage, created_s=1772600767, model="upstream's")
    )
    assert body.pop("message") == {"role": "assistant", "content": "Hello", "thinking": "Hm"}
    assert body == {
        "model": "upstream's",
        "created_at": "2026-03-04T05:06:07Z",
        "done": True,
        "done_reason": "stop",
        "total_duration": 4 * 10**9,
        "load_duration": 0,
        "prompt_eval_count": 8,
        "prompt_eval_duration": 0,
        "eval_count": 6,
        "eval_duration": 4 * 10**9,  # Programs divide by it.
    }
    assert losses == []


def test_a_response_of_generate_has_no_message():
    body, _ = encoded(answer(Reasoning(text="Hm"), Text(text="Hello")), GENERATE_CLIENT)
    assert (body["response"], body["thinking"], "message" in body) == ("Hello", "Hm", False)


def test_logprobs_are_next_to_the_message():
    pieces = [{"token": "A", "logprob": -1.0}]
    body, _ = encoded(answer(Text(text="A", logprobs=pieces)))
    assert (body["logprobs"], "logprobs" in body["message"]) == (pieces, False)


def test_tool_results_in_a_response_are_omitted():
    body, _ = encoded(answer(Text(text="A"), ToolResult(call_id="x")))
    assert body["message"]["content"] == "A"


def test_durations_of_an_ollama_upstream_are_kept():
    body, _ = encoded(answer(Text(text="A"), dialect="ollama", extras={"total_duration": 7}))
    assert body["total_duration"] == 7
    body, _ = encoded(answer(Text(text="A"), dialect="gemini", extras={"total_duration": 7}))
    assert body["total_duration"] > 7


def test_durations_are_never_zero_where_programs_divide_by_them(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    for client in (CLIENT, GENERATE_CLIENT):
        body, _ = encoded(answer(Text(text="A")), client)
        last = lines([TextDelta(text="A")], client)[-1]
        for each in (body, last):
            assert (each["total_duration"], each["eval_duration"]) == (1, 1)


@pytest.mark.parametrize(
    ("reason", "done_reason", "is_lost"),
    [
        ("stop", "stop", False),
        ("stop_sequence", "stop", False),
        ("length", "length", False),
        ("context_length", "length", False),
        ("tool_calls", "stop", False),
        ("content_filter", "content_filter", False),
        ("refusal", "stop", False),
        ("pause", "stop", True),
        ("error", "stop", True),
    ],
)
def test_done_reasons(reason, done_reason, is_lost):
    body, losses = encoded(answer(Text(text="A"), reason=reason))
    assert body["done_reason"] == done_reason
    assert bool(losses) == is_lost


def test_arguments_are_objects_and_calls_are_numbered():
    body, losses = encoded(
        answer(
            ToolCall(id="c1", name="a", arguments='{"x": 1}'),
            ToolCall(id="c2", name="b", arguments=""),
            ToolCall(id="c3", name="c", arguments="free", kind="custom"),
            reason="tool_calls",
        )
    )
    assert body["message"]["tool_calls"] == [
        {"id": "c1", "function": {"index": 0, "name": "a", "arguments": {"x": 1}}},
        {"id": "c2", "function": {"index": 1, "name": "b", "arguments": {}}},
        {"id": "c3", "function": {"index": 2, "name": "c", "arguments": {"input": "free"}}},
    ]
    assert losses == []


def test_invalid_arguments_are_sent_as_raw_text():
    body, losses = encoded(answer(ToolCall(id="c1", name="a", arguments='{"x": '), reason="length"))
    assert body["message"]["tool_calls"][0]["function"]["arguments"] == {"_raw": '{"x": '}
    assert losses == ['tool_calls[].function.arguments;how=converted;as="invalid JSON object in _raw"']


def test_parts_that_ollama_does_not_have_are_reported():
    body, losses = encoded(
        Response(
            choices=[
                Choice(
                    parts=[
                        Text(text="A", citations=[Citation()]),
                        Refusal(text=" No."),
                        Reasoning(summary=["x", "y"], token=Opaque("s")),
                        Media(kind="image", source=Source(data="aGk=")),
                        Media(kind="audio", source=Source(data="aGk="), transcript=" Heard."),
                        Foreign(dialect="gemini", kind="executableCode", raw={}),
                    ],
                ),
                Choice(),
            ]
        )
    )
    assert body["message"] == {"role": "assistant", "content": "A No. Heard.", "thinking": "x\n\ny", "images": ["aGk="]}
    assert [loss.partition(";")[0] for loss in losses] == [
        "n",
        "citations",
        "thinking.signature",
        "audio",
        "executableCode",
    ]


def test_a_response_without_choices_has_an_empty_message():
    body, _ = encoded(Response())
    assert body["message"] == {"role": "assistant", "content": ""}


def test_lines_of_text():
    usage = UsageUpdate(usage=Usage(input_tokens=3, output_tokens=2))
    found = lines(
        [
            StreamStarted(),
            TextDelta(text="Hel"),
            TextDelta(text=""),
            TextDelta(text="lo"),
            ChoiceFinished(stop=Stop(reason="length")),
            usage,
        ]
    )
    assert [line["message"] for line in found] == [{"role": "assistant", "content": text} for text in ("Hel", "lo", "")]
    assert [line["done"] for line in found] == [False, False, True]
    assert (found[-1]["done_reason"], found[-1]["prompt_eval_count"], found[-1]["eval_count"]) == ("length", 3, 2)
    assert all(line["created_at"].endswith("Z") and line["model"] == "m" for line in found)


def test_lines_of_generate():
    found = lines([ReasoningDelta(text="Hm"), TextDelta(text="A", part=1)], GENERATE_CLIENT)
    assert [(line["response"], line.get("thinking")) for line in found] == [("", "Hm"), ("A", None), ("", None)]


def test_the_last_line_contains_durations(monkeypatch):
    times = iter([10**9, 3 * 10**9, 2 * 10**9, 7 * 10**9])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    found = lines([TextDelta(text="A"), TextDelta(text="B")])
    assert [line["created_at"] for line in found] == [
        "1970-01-01T00:00:03.000000000Z",
        "1970-01-01T00:00:03.000000000Z",
        "1970-01-01T00:00:07.000000000Z",
    ]
    last = found[-1]
    assert (last["total_duration"], last["prompt_eval_duration"], last["eval_duration"]) == (
        6 * 10**9,
        2 * 10**9,
        4 * 10**9,
    )


def test_interleaved_calls_are_sent_completely_and_in_order():
    found = lines(
        [
            ToolCallStarted(id="x", name="a", part=0),
            ToolCallStarted(id="y", name="b", part=1),
            ArgumentsDelta(text='{"n"', part=1),
            ArgumentsDelta(text='{"n":1}', part=0),
            ArgumentsDelta(text=":2}", part=1),
            ChoiceFinished(stop=Stop(reason="tool_calls")),
        ]
    )
    assert [line["message"].get("tool_calls") for line in found] == [
        [{"id": "x", "function": {"index": 0, "name": "a", "arguments": {"n": 1}}}],
        [{"id": "y", "function": {"index": 1, "name": "b", "arguments": {"n": 2}}}],
        None,
    ]


def test_a_call_is_sent_when_it_is_complete():
    encoder = CLIENT.stream(chat(), LossReport())
    assert encoder.encode([ToolCallStarted(id="x", name="a"), ArgumentsDelta(text="{")]) == b""
    assert b'"arguments":{}' in encoder.encode([ArgumentsDelta(text="}"), PartEnded()])
    assert encoder.encode([PartEnded(), ArgumentsDelta(text="late")]) == b""


def test_a_call_without_an_end_is_sent_at_the_end():
    assert lines([ToolCallStarted(id="x", name="a")])[0]["message"]["tool_calls"][0]["function"]["name"] == "a"


def test_summaries_are_separated_by_blank_lines():
    found = lines(
        [
            ReasoningDelta(text="One", is_summary=True),
            ReasoningDelta(text=".", is_summary=True),
            ReasoningDelta(text="Two", is_summary=True, summary_index=1),
        ]
    )
    assert "".join(line["message"].get("thinking", "") for line in found) == "One.\n\nTwo"


def test_other_events_of_a_stream():
    losses = LossReport()
    found = lines(
        [
            RefusalDelta(text="No."),
            CitationDelta(citation=Citation()),
            ReasoningToken(token=Opaque("s"), part=1),
            WholePart(value=Media(kind="image", source=Source(data="aGk=")), part=2),
            WholePart(value=Media(kind="audio", source=Source(data="aGk="), transcript="Heard"), part=3),
            WholePart(value=Foreign(dialect="x", kind="k", raw=1), part=4),
            TextDelta(text="other", choice=1),
            TextDelta(text="A", logprobs=[{"token": "A", "logprob": -1.0}], part=5),
        ],
        losses=losses,
    )
    assert [line["message"]["content"] for line in found] == ["No.", "", "Heard", "A", ""]
    assert found[1]["message"]["images"] == ["aGk="]
    assert found[3]["logprobs"] == [{"token": "A", "logprob": -1.0}]
    assert [loss.field for loss in losses.taken()] == ["citations", "thinking.signature", "audio", "k", "n"]


def test_a_response_is_the_same_after_encoding_and_decoding_as_a_stream():
    response = Response(
        choices=[
            Choice(
                parts=[
                    Reasoning(text="Hm"),
                    Text(text="A", logprobs=[{"token": "A", "logprob": -1.0}]),
                    ToolCall(id="x", name="a", arguments='{"n":1}'),
                ],
                stop=Stop(reason="tool_calls", raw="stop"),
            )
        ],
        usage=Usage(input_tokens=1, output_tokens=2),
        model="m",
        dialect="ollama",
    )
    encoder, decoder = CLIENT.stream(chat(), LossReport()), RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events = decoder.feed(encoder.encode(list(events_of(response))[:-1]) + encoder.end()) + decoder.end()
    found = collect(events, "ollama")
    found.created_s = 0
    assert found == response


def test_errors_are_one_line():
    error = errors.UpstreamTimeout('slow\n"x"', hint="Wait.")
    assert ERRORS.status(error) == 504
    assert json.loads(ERRORS.encode(error)) == {"error": 'slow\n"x". Wait.'}
    wire = CLIENT.stream(chat(), LossReport()).fail(error)
    assert wire == ERRORS.encode_event(error)
    assert wire.count(b"\n") == 1
    with pytest.raises(errors.UpstreamUnavailable, match="slow"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(wire)


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [
        (None, "load"),
        (5, "load"),
        ("5m", "load"),
        (-1, "load"),
        (0, "unload"),
        ("0", "unload"),
        ("0s", "unload"),
        ("0h0m0.0s", "unload"),
    ],
)
def test_loads_and_unloads(keep_alive, reason):
    for call in (chat(messages=[], keep_alive=keep_alive), generate(prompt="", keep_alive=keep_alive)):
        assert is_load(call)
        assert not call.is_stream
        assert json.loads(load_answer(call, "up"))["done_reason"] == reason
    assert not is_load(chat())
    assert not is_load(generate())


def test_the_load_route_answers_without_an_upstream():
    call = chat(messages=None)
    assert LOAD_ROUTE.is_local
    found = LOAD_ROUTE.decode_response(b"", call, DEPLOYMENT)
    assert json.loads(found.body)["message"] == {"role": "assistant", "content": ""}
    assert json.loads(found.body)["model"] == DEPLOYMENT.upstream_model
    call.names_requested_model = True
    assert json.loads(LOAD_ROUTE.decode_response(b"", call, DEPLOYMENT).body)["model"] == call.model
    assert found.usage.total_tokens == 0
    assert found.losses[0].how == "emulated"
    assert "message" not in json.loads(load_answer(generate(prompt=None), "up"))
    with pytest.raises(errors.UnsupportedFeature):
        LOAD_ROUTE.encode_request(call, DEPLOYMENT)
    with pytest.raises(errors.InvalidRequest):
        LOAD_ROUTE.relay(call, DEPLOYMENT)
    with pytest.raises(errors.InternalError):
        raise LOAD_ROUTE.decode_error(500, (), b"", deployment="x", clock=FakeClock())
