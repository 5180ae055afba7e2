"""Edited calls: what a stage changes reaches every upstream once, and nothing else of the request changes.

Every golden request of every client goes to every upstream, streamed and not: with an edit that changes nothing, and
with one that adds a system message. An upstream of the client's own dialect gets the client's body with the edit in it.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects import Route
from intellirouter.dialects.adapt.forced_tool import forced_tool, with_output_schema
from intellirouter.dialects.adapt.inline_media import with_fetched
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.ir import (
    Conversation,
    Message,
    Part,
    Text,
)
from tests.support.dialects.generated import conversations
from tests.support.dialects.golden import load
from tests.support.dialects.meaning import all_text, silent_losses, without_whitespace
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    OTHERS,
    UNSAID,
    UPSTREAMS,
    call_of,
    client_of,
    collected,
    endpoint_of,
    plain_call,
    read_back,
    request_cases,
    upstream_of,
    wire_of,
)
from tests.support.dialects.pairs import send as translate
from tests.support.dialects.staged import PERSONA, endpoint_for, persona, send, with_message

TARGETS = {**BY_UPSTREAM, **OTHERS}
CASES = [
    pytest.param(client, name, case, id=f"{client}-{name}")
    for client in CLIENTS
    for name, case in request_cases(client)
]
INSTRUCTIONS_FIRST = "`instructions` stand before all of `input`, wherever the edit stands"
"""Why the turns of a responses request may come in another order than in the edited conversation."""
GENERATES = "an edited `/api/generate` is sent to `/api/chat`: a prompt has no place for further messages"
"""Why an edited generate request is translated, even for Ollama."""


def variant(client: str, case: dict[str, Any], *, is_stream: bool) -> dict[str, Any]:
    if client == "gemini":
        path = {"model": "m", **(case.get("path") or {})}
        return {**case, "path": path | {"is_stream": is_stream, "query": "alt=sse" if is_stream else ""}}
    return {**case, "body": {**case["body"], "stream": is_stream}}


def is_generate(call: Call) -> bool:
    return endpoint_of(call.dialect, call.body) == "ollama_generate"


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "name", "case"), CASES)
def test_an_edit_that_changes_nothing_changes_nothing(
    client: str, name: str, case: dict[str, Any], is_stream: bool
) -> None:
    for target in TARGETS.values():
        call = call_of(client, variant(client, case, is_stream=is_stream))
        endpoint = endpoint_for(client, call)
        sent = send(endpoint, call, target)
        same = endpoint.conversation(call)
        assert same is not None
        assert endpoint.edited(call, copy.deepcopy(same)) is call
        # The same through the merge, as after an edit that was taken back.
        known = narrow_call(call, ConversationCall)
        again = send(endpoint, structs.replace(known, edited=copy.deepcopy(same), is_edited=True), target)
        if isinstance(sent, errors.UnsupportedFeature) or isinstance(again, errors.UnsupportedFeature):
            assert type(sent) is type(again)
        elif not (is_generate(call) and target.dialects[0] == "ollama"):  # GENERATES
            assert (again.path, again.headers, again.losses) == (sent.path, sent.headers, sent.losses)
            assert json.loads(again.body) == json.loads(sent.body)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(("client", "name", "case"), CASES)
def test_a_message_that_is_added_arrives_once_and_nothing_is_lost(
    client: str, name: str, case: dict[str, Any], place: str, is_stream: bool
) -> None:
    found: dict[str, Any] = {}
    for target_name, target in TARGETS.items():
        call = call_of(client, variant(client, case, is_stream=is_stream))
        endpoint = endpoint_for(client, call)
        sent = send(endpoint, call, target)
        original = endpoint.conversation(call)
        assert original is not None
        at = 0 if place == "first" else len(original.messages)
        edited = endpoint.edited(call, with_message(original, persona(), at))
        with_persona = send(endpoint, edited, target)
        if isinstance(sent, errors.UnsupportedFeature):
            assert isinstance(with_persona, errors.UnsupportedFeature)
            continue
        assert isinstance(with_persona, UpstreamRequest), (target_name, with_persona)
        after = read_back(with_persona, target.dialects[0])
        assert all_text(after).count(without_whitespace(PERSONA)) == 1, target_name
        if client != target.dialects[0] or is_generate(call):
            lost = lost_in_translation(edited, client, target, with_persona, after)
        else:
            lost = changed_besides(sent, with_persona, target, at if place == "first" else -1)
        if lost:
            found[target_name] = lost
    assert found == {}


def lost_in_translation(
    call: Call, client: str, target: Deployment, sent: UpstreamRequest, after: Conversation
) -> list[str]:
    before = narrow_call(call, ConversationCall).edited
    assert before is not None
    if call.fetched:
        before = with_fetched(before, call.fetched, LossReport())
    if target.dialects[0] == "ollama" and (tool := forced_tool(before)) is not None:
        before = with_output_schema(before, tool, LossReport())
    losses = {loss.field: loss.how for loss in sent.losses}
    names = client_of(client, call.body).field_names
    return silent_losses(before, after, losses, names, UNSAID[target.name])


def changed_besides(sent: UpstreamRequest, edited: UpstreamRequest, target: Deployment, place: int) -> list[str]:
    """Return what differs between both requests, read back, that is neither the message nor a loss of its own."""
    dialect = target.dialects[0]
    before, after = read_back(sent, dialect), read_back(edited, dialect)
    before = with_message(before, persona(), len(before.messages) if place < 0 else place)
    losses = {loss.field: loss.how for loss in edited.losses if loss not in sent.losses}
    names = client_of(dialect, sent.body).field_names
    changed = silent_losses(before, after, losses, names, {}) + silent_losses(after, before, losses, names, {})
    if dialect == "openai_responses" and "instructions" in json.loads(sent.body):  # INSTRUCTIONS_FIRST
        changed = [fact for fact in changed if fact != "turns"]
    return changed


@pytest.mark.parametrize(("client", "name", "case"), CASES)
def test_the_same_dialect_gets_the_clients_body_and_the_edit(client: str, name: str, case: dict[str, Any]) -> None:
    """Every member of the client's body is in the edited one, spelled as the client spelled it."""
    for target_name, target in TARGETS.items():
        call = call_of(client, case)
        if target.dialects[0] != client or is_generate(call) or target_name == "bare":  # which needs words of our own
            continue
        endpoint = endpoint_for(client, call)
        sent, original = send(endpoint, call, target), endpoint.conversation(call)
        assert original is not None
        edited = send(endpoint, endpoint.edited(call, with_message(original, persona())), target)
        if isinstance(sent, UpstreamRequest) and isinstance(edited, UpstreamRequest):
            before, after = json.loads(sent.body), json.loads(edited.body)
            assert {each: after[each] for each in after if each not in SAID} == {
                each: before[each] for each in before if each not in SAID
            }
            for each in SAID & before.keys():
                assert before[each] is None or _holds(after[each], before[each]), each


SAID = {"messages", "input", "system", "systemInstruction", "system_instruction", "contents"}
"""The members of requests that hold what is said."""


def _holds(after: Any, before: Any) -> bool:
    """Whether a list has all elements of another, in order; a text may have become one of several."""
    if isinstance(before, str):
        return json.dumps(before)[1:-1] in json.dumps(after)
    if isinstance(before, dict):
        if isinstance(after, list):
            return before in after
        return isinstance(after, dict) and all(
            name in after and (after[name] == value or _holds(after[name], value)) for name, value in before.items()
        )
    if not isinstance(before, list):
        return bool(after == before)
    rest = iter(after)
    return all(any(element == each for each in rest) for element in before)


@st.composite
def edits(draw: st.DrawFn, original: Conversation) -> Conversation:
    """What stages do: take messages out, change their words, add some, turn a knob."""
    messages: list[Message] = []
    for number, message in enumerate(original.messages):
        has_tools = any(not isinstance(part, Text) for part in message.parts)
        what = draw(st.sampled_from(["keep", "keep", "change", *(() if has_tools else ("drop", "add"))]))
        if what == "add":
            messages.append(Message(role="user", parts=[Text(text=f"Added before {number}.")]))
        if what == "change":
            messages.append(structs.replace(message, parts=[_changed(part, number) for part in message.parts]))
        elif what != "drop":
            messages.append(message)
    place = draw(st.integers(0, 1))
    messages.insert(0 if place else len(messages), Message(role="system" if place else "user", parts=persona().parts))
    sampling = structs.replace(original.sampling, temperature=draw(st.none() | st.sampled_from([0.25, 0.5])))
    return structs.replace(original, messages=messages, sampling=sampling)


def _changed(part: Part, number: int) -> Part:
    return structs.replace(part, text=f"Changed {number}.") if isinstance(part, Text) else part


@pytest.mark.parametrize("client", CLIENTS)
@given(asked=conversations(), data=st.data())
def test_whatever_is_edited_the_upstream_gets_what_the_edit_says(
    client: str, asked: Conversation, data: st.DataObject
) -> None:
    """Generated requests, edited at random, for an upstream of the same dialect."""
    target = BY_UPSTREAM[client]
    written = translate(plain_call("openai_chat"), "openai_chat", target, form=asked)
    if written.request is None:
        return
    path, _, query = written.request.path.partition("?")
    context = {"model": "m", "is_stream": "stream" in path, "query": query} if client == "gemini" else None
    call = call_of(client, {"body": json.loads(written.request.body), "path": context})
    endpoint = endpoint_for(client, call)
    original = endpoint.conversation(call)
    assert original is not None
    edited = endpoint.edited(call, data.draw(edits(original)))
    request = send(endpoint, edited, target)
    assert isinstance(request, UpstreamRequest)
    lost = lost_in_translation(edited, client, target, request, read_back(request, client))
    assert lost == []


def answers_of(dialect: str, kind: str) -> list[Any]:
    return [pytest.param(dialect, case, id=f"{dialect}-{name}") for name, case in load(dialect, kind)]


def routes_of(client: str, target: Deployment, *, is_stream: bool) -> tuple[tuple[Route, Call], tuple[Route, Call]]:
    """Return the route of a plain call, and that of the same call with an edit."""
    call = plain_call(client, is_stream=is_stream)
    endpoint = endpoint_for(client, call)
    original = endpoint.conversation(call)
    assert original is not None
    edited = endpoint.edited(call, with_message(original, persona()))
    return (endpoint.route(call, target), call), (endpoint.route(edited, target), edited)


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except errors.GatewayError as error:
        return type(error), error.message


@pytest.mark.parametrize(("dialect", "case"), [each for name in CLIENTS for each in answers_of(name, "responses")])
def test_answers_are_relayed_as_without_the_edit(dialect: str, case: dict[str, Any]) -> None:
    body, target = json.dumps(case["body"], ensure_ascii=False).encode(), BY_UPSTREAM[dialect]
    told = [
        outcome(lambda route=route, call=call: route.decode_response(body, call, target))
        for route, call in routes_of(dialect, target, is_stream=False)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(("dialect", "case"), [each for name in CLIENTS for each in answers_of(name, "streams")])
def test_streams_are_relayed_as_without_the_edit(dialect: str, case: dict[str, Any]) -> None:
    wire, target = wire_of(dialect, case), BY_UPSTREAM[dialect]

    def relayed(route: Route, call: Call) -> Any:
        relay = route.relay(call, target)
        out = b"".join(relay.feed(wire[at : at + 7]) for at in range(0, len(wire), 7)) + relay.end()
        return out, relay.usage, relay.finish_reason, relay.content_events

    told = [
        outcome(lambda route=route, call=call: relayed(route, call))
        for route, call in routes_of(dialect, target, is_stream=True)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_answers_are_translated_as_without_the_edit(client: str, upstream: str) -> None:
    target = BY_UPSTREAM[upstream]
    for _, case in load(upstream, "responses"):
        if set(case["features"]) <= {"text", "finish_stop", "usage", "unicode"}:
            body = json.dumps(case["body"], ensure_ascii=False).encode()
            told = [
                upstream_of(client).decode(route.decode_response(body, call, target).body or body, BY_UPSTREAM[client])
                for route, call in routes_of(client, target, is_stream=False)
            ]
            assert told[0].choices == told[1].choices
            assert told[0].usage == told[1].usage
    for _, case in load(upstream, "streams"):
        if set(case["features"]) <= {"text", "finish_stop", "usage", "unicode"}:
            wire = wire_of(upstream, case)
            said = []
            for route, call in routes_of(client, target, is_stream=True):
                relay = route.relay(call, target)
                said.append(collected(client, relay.feed(wire) + relay.end()))
            assert said[0].choices == said[1].choices
