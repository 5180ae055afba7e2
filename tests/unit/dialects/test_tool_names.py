"""Names of tools: fitted to the upstream's rule in requests, and restored in answers."""

import json
import re
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import Call, LossReport
from intellirouter.dialects import DIALECTS
from intellirouter.dialects.adapt.tool_names import (
    fitted_name,
    fitted_names,
    output_name,
    with_distinct_tools,
    with_fitted_names,
)
from intellirouter.dialects.bedrock.event_stream import encode_message
from intellirouter.dialects.ir import (
    Choice,
    Conversation,
    CustomTool,
    FunctionTool,
    Message,
    Response,
    ServerTool,
    Stop,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    events_of,
)
from intellirouter.dialects.wire.tool_name_rule import OPENAI_NAMES, NameRule
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UPSTREAMS,
    call_of,
    encode_answer,
    encode_stream,
    plain_call,
    read_back,
    send,
    translation_of,
    upstream_of,
)
from tests.support.dialects.standard import ENDPOINTS

LONG = "mcp__the_corporate_wiki_of_the_whole_company__" + "search_" * 20 + "pages"
DOTTED, SPACED, FITTING, UNKNOWN = "fs:read", "fs read", "fs_read", "$READFILE"
GEMINI = NameRule(64, punctuation="_.-", needs_letter=True)
PATTERNS = {
    "openai_chat": r"[a-zA-Z0-9_-]{1,64}",
    "openai_responses": r"[a-zA-Z0-9_-]{1,64}",
    "anthropic_messages": r"[a-zA-Z0-9_-]{1,128}",
    "gemini": r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}",
    "ollama": r".+",
    "bedrock": r"[a-zA-Z0-9_-]{1,64}",
}
PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS if client != upstream]


def conversation_with(dialect: str, *, choice: ToolChoice | None = None) -> Conversation:
    schema = {"type": "object", "properties": {}}
    calls = [ToolCall(id="c1", name=LONG), ToolCall(id="c2", name=UNKNOWN)]
    results = [ToolResult(call_id=call.id, name=call.name, parts=[Text(text="x")]) for call in calls]
    return Conversation(
        dialect=dialect,
        model="m",
        tools=[FunctionTool(name=name, parameters=schema) for name in (LONG, DOTTED, SPACED, FITTING)],
        tool_choice=choice,
        messages=[
            Message(role="user", parts=[Text(text="hi")]),
            Message(role="assistant", parts=[*calls]),
            Message(role="tool", parts=[*results]),
        ],
    )


def call_with(conversation: Conversation, *, is_stream: bool = False) -> Call:
    call: Any = plain_call(conversation.dialect, is_stream=is_stream)
    call.conversation = structs.replace(conversation, is_stream=is_stream)
    return call


def test_names_that_fit_cost_nothing_and_are_not_changed() -> None:
    assert fitted_names(Conversation(dialect="", model="m", tools=[FunctionTool(name="f")]), OPENAI_NAMES) is None
    assert fitted_names(conversation_with("openai_chat"), None) is None


def test_names_stay_distinct_and_do_not_depend_on_the_turn() -> None:
    conversation = conversation_with("openai_chat")
    names = fitted_names(conversation, OPENAI_NAMES)
    assert names is not None
    fitted = names.by_client_name
    assert names == fitted_names(structs.replace(conversation, messages=conversation.messages[:2]), OPENAI_NAMES)
    assert FITTING not in fitted
    assert len({*fitted.values(), FITTING}) == len(fitted) + 1
    assert all(OPENAI_NAMES.is_valid(name) for name in fitted.values())
    assert names.by_upstream_name == {value: key for key, value in fitted.items()}
    first_turn = fitted_names(structs.replace(conversation, messages=conversation.messages[:1]), OPENAI_NAMES)
    assert first_turn is not None
    assert first_turn.by_client_name.items() <= fitted.items()


@pytest.mark.parametrize(
    ("name", "rule", "fitted"),
    [
        ("fetch.get_url", OPENAI_NAMES, "fetch_get_url"),
        ("", OPENAI_NAMES, "_"),
        ("wetter_für", OPENAI_NAMES, "wetter_f_r"),
        ("a.b:c", GEMINI, "a.b_c"),
        ("7zip", GEMINI, "_7zip"),
        ("-x", GEMINI, "_-x"),
    ],
)
def test_invalid_characters_become_underscores(name: str, rule: NameRule, fitted: str) -> None:
    assert fitted_name(name, rule, ()) == fitted


@pytest.mark.parametrize("rule", [OPENAI_NAMES, GEMINI])
def test_a_long_name_keeps_its_end_and_gets_a_digest(rule: NameRule) -> None:
    names = {fitted_name(f"{at}{'9' * 100}{end}", rule, ()) for at in ("a", "b") for end in ("one", "two")}
    assert len(names) == 4
    assert all(rule.is_valid(name) for name in names)
    assert {name[-12:-9] for name in names} == {"one", "two"}


def test_a_fitted_name_that_is_taken_gets_another_digest() -> None:
    first = fitted_name("a.b", OPENAI_NAMES, {"a_b"})
    second = fitted_name("a.b", OPENAI_NAMES, {"a_b", first})
    assert len({"a_b", first, second}) == 3


def test_names_with_lone_surrogates_are_fitted() -> None:
    assert OPENAI_NAMES.is_valid(fitted_name("\ud800" * 70, OPENAI_NAMES, ()))


def test_server_tools_and_their_choice_keep_their_names() -> None:
    server = ServerTool(dialect="anthropic_messages", kind="web.search", raw={"name": "web.search"})
    choice = ToolChoice(mode="named", name="web.search", raw={"type": "web.search"})
    conversation = Conversation(
        dialect="",
        model="m",
        tools=[server, CustomTool(name="a b")],
        tool_choice=choice,
        messages=[Message(role="user")],
    )
    names = fitted_names(conversation, OPENAI_NAMES)
    assert names is not None
    losses = LossReport()
    changed = with_fitted_names(conversation, names, losses)
    assert (changed.tools, changed.tool_choice) == ([server, CustomTool(name="a_b")], choice)
    assert [(loss.field, loss.how) for loss in losses.taken()] == [("tools[].name", "converted")]
    assert changed.messages[0] is conversation.messages[0]


@pytest.mark.parametrize(("name", "written"), [("", "answer"), ("my schema", "my_schema"), ("ok", "ok")])
def test_names_of_output_formats_fit(name: str, written: str) -> None:
    assert output_name(name, "answer") == written


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize(
    "choice",
    [
        None,
        ToolChoice(mode="named", name=LONG),
        ToolChoice(mode="auto", allowed=[DOTTED, LONG]),
        ToolChoice(mode="required", allowed=[DOTTED, LONG]),
    ],
    ids=["none", "named", "allowed", "required"],
)
def test_every_upstream_gets_names_that_it_accepts(client: str, upstream: str, choice: ToolChoice | None) -> None:
    conversation = conversation_with(client, choice=choice)
    sent = send(call_with(conversation), client, BY_UPSTREAM[upstream], conversation)
    if upstream == "ollama" and choice is not None and choice.mode == "required":
        assert "emulated" in sent.losses.values()  # the tools have become one output format
        return
    assert sent.request is not None
    got = read_back(sent.request, upstream)
    declared = [tool.name for tool in got.tools if not isinstance(tool, ServerTool)]
    history = [part.name for message in got.messages for part in message.parts if isinstance(part, ToolCall)]
    results = [part.name for message in got.messages for part in message.parts if isinstance(part, ToolResult)]
    chosen = [] if got.tool_choice is None else [got.tool_choice.name, *(got.tool_choice.allowed or ())]
    for name in [*declared, *history, *filter(None, [*results, *chosen])]:
        assert re.fullmatch(PATTERNS[upstream], name)
    assert len(set(declared)) == len(declared)
    if len(declared) == 4:
        assert history[0] == declared[0]
    if upstream != "ollama":
        assert set(filter(None, chosen)) <= set(declared)
        assert sent.losses["tools[].name"] == "converted"


def _converse_answer(name: str) -> bytes:
    block = {"toolUse": {"toolUseId": "c3", "name": name, "input": {}}}
    return json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        }
    ).encode()


def _converse_stream(name: str) -> bytes:
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "c3", "name": name}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}}),
    ]
    return b"".join(
        encode_message(
            {":message-type": "event", ":event-type": kind, ":content-type": "application/json"},
            json.dumps(document).encode(),
        )
        for kind, document in events
    )


def _answer_with(name: str) -> Response:
    parts: list[Any] = [ToolCall(id="c3", name=name, arguments="{}")]
    return Response(id="r", model="m", choices=[Choice(parts=parts, stop=Stop(reason="tool_calls"))])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("name", [LONG, DOTTED, SPACED, FITTING, UNKNOWN, "never_seen"])
def test_answers_have_the_names_of_the_client(client: str, upstream: str, name: str) -> None:
    target = BY_UPSTREAM[upstream]
    conversation = conversation_with(client)
    names = fitted_names(conversation, name_rule_of(upstream))
    upstream_name = name if names is None else names.by_client_name.get(name, name)
    response = _answer_with(upstream_name)
    body = _converse_answer(upstream_name) if upstream == "bedrock" else encode_answer(response, upstream)[0]
    answer = translation_of(call_with(conversation), client, upstream).decode_response(
        body, call_with(conversation), target
    )
    assert answer.body is not None
    got = upstream_of(client).decode(answer.body, BY_UPSTREAM[client])
    assert [part.name for part in got.choices[0].parts if isinstance(part, ToolCall)] == [name]

    wire = (
        _converse_stream(upstream_name) if upstream == "bedrock" else encode_stream([*events_of(response)], upstream)[0]
    )
    call = call_with(conversation, is_stream=True)
    route = translation_of(call, client, upstream)
    relay = route.relay(call, target)
    out = b"".join(relay.feed(wire[at : at + 7]) for at in range(0, len(wire), 7)) + relay.end()
    assert _started(client, out) == [name]
    if (whole := route.relay_whole(call, target)) is not None:  # the upstream has ignored `stream`
        assert _started(client, whole.feed(body) + whole.end()) == [name]


def _started(client: str, out: bytes) -> list[str]:
    decoder = upstream_of(client).stream(BY_UPSTREAM[client])
    return [event.name for event in decoder.feed(out) + decoder.end() if type(event).__name__ == "ToolCallStarted"]


def name_rule_of(upstream: str) -> NameRule | None:
    return next(spec.traits.tool_names for spec in DIALECTS if spec.name == upstream and spec.chat is not None)


def test_a_forced_tool_that_is_emulated_has_the_name_of_the_client() -> None:
    conversation = conversation_with("openai_chat", choice=ToolChoice(mode="named", name=LONG))
    call, target = call_with(conversation), BY_UPSTREAM["ollama"]
    route = translation_of(call, "openai_chat", "ollama")
    body = {"model": "m", "message": {"role": "assistant", "content": "{}"}, "done": True, "done_reason": "stop"}
    answer = route.decode_response(json.dumps(body).encode(), call, target)
    assert _called(answer) == [LONG]


def _called(answer: Any) -> list[str]:
    return [call["function"]["name"] for call in json.loads(answer.body)["choices"][0]["message"]["tool_calls"]]


def test_an_edited_call_is_fitted_too() -> None:
    endpoint, target = ENDPOINTS["openai_chat"], BY_UPSTREAM["bedrock"]
    call = plain_call("openai_chat")
    before = endpoint.conversation(call)
    assert before is not None
    edited = endpoint.edited(call, structs.replace(before, tools=[FunctionTool(name="fetch.get_url")]))
    route = endpoint.route(edited, target)
    sent = json.loads(route.encode_request(edited, target).body)
    assert sent["toolConfig"]["tools"][0]["toolSpec"]["name"] == "fetch_get_url"
    assert _called(route.decode_response(_converse_answer("fetch_get_url"), edited, target)) == ["fetch.get_url"]


def test_an_edited_call_for_the_same_dialect_keeps_the_names() -> None:
    endpoint, target = ENDPOINTS["openai_chat"], BY_UPSTREAM["openai_chat"]
    call = plain_call("openai_chat")
    before = endpoint.conversation(call)
    assert before is not None
    edited = endpoint.edited(call, structs.replace(before, tools=[FunctionTool(name="fetch.get_url")]))
    sent = json.loads(endpoint.route(edited, target).encode_request(edited, target).body)
    assert sent["tools"][0]["function"]["name"] == "fetch.get_url"


def test_token_counts_get_fitted_names() -> None:
    endpoint, target = ENDPOINTS["anthropic_count_tokens"], BY_UPSTREAM["bedrock"]
    call: Any = plain_call("anthropic_messages")
    body = json.loads(call.body) | {"tools": [{"name": LONG, "input_schema": {"type": "object"}}]}
    call = endpoint.decode_request(json.dumps(body).encode(), call.context)
    sent = json.loads(endpoint.route(call, target).encode_request(call, target).body)
    name = sent["input"]["converse"]["toolConfig"]["tools"][0]["toolSpec"]["name"]
    assert re.fullmatch(PATTERNS["bedrock"], name)


def test_namespaced_tools_with_long_names_are_restored() -> None:
    function = {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}}
    spaces = [{"type": "namespace", "name": f"{'n' * 80}{at}", "description": "d", "tools": [function]} for at in "ab"]
    call = call_of("openai_responses", {"body": {"model": "m", "input": "hi", "tools": spaces}})
    target = BY_UPSTREAM["bedrock"]
    route = translation_of(call, "openai_responses", "bedrock")
    sent = json.loads(route.encode_request(call, target).body)
    names = [tool["toolSpec"]["name"] for tool in sent["toolConfig"]["tools"]]
    assert len({*names}) == 2
    assert all(re.fullmatch(PATTERNS["bedrock"], name) for name in names)
    answer = route.decode_response(_converse_answer(names[1]), call, target)
    assert answer.body is not None
    item = next(each for each in json.loads(answer.body)["output"] if each["type"] == "function_call")
    assert (item["namespace"], item["name"]) == (f"{'n' * 80}b", "search")


@pytest.mark.parametrize(
    ("names", "are_valid"),
    [([], True), (["a"], True), (["a", "b-c"], True), (["a", ""], False), (["a\nb"], False), (["a\nb", "c"], False)],
)
def test_many_names_are_checked_at_once(names: list[str], are_valid: bool) -> None:
    assert OPENAI_NAMES.are_valid(names) is are_valid


def test_of_two_tools_with_one_name_the_first_is_sent() -> None:
    first, other = (FunctionTool(name="f", description=text) for text in ("1", "2"))
    copy, third = FunctionTool(name="f", description="1"), FunctionTool(name="g")
    losses = LossReport()
    conversation = Conversation(dialect="openai_chat", model="m", tools=[first, copy, third])
    assert with_distinct_tools(conversation, losses).tools == [first, third]
    assert not losses.taken()
    conversation = Conversation(dialect="openai_chat", model="m", tools=[first, other, third])
    assert with_distinct_tools(conversation, losses).tools == [first, third]
    assert [(loss.field, loss.how) for loss in losses.taken()] == [("tools[]", "dropped")]
    conversation = Conversation(dialect="openai_chat", model="m", tools=[first, third])
    assert with_distinct_tools(conversation, losses) is conversation


@pytest.mark.parametrize("upstream", ["anthropic_messages", "gemini", "bedrock", "openai_responses"])
def test_no_upstream_gets_two_tools_with_one_name(upstream: str) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool, tool]}
    sent = send(call_of("openai_chat", {"body": body}), "openai_chat", BY_UPSTREAM[upstream])
    assert sent.request is not None
    assert sent.request.body.count(b'"name":"f"') == 1
