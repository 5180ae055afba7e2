"""Edited calls: an edit reaches every upstream once, and nothing else of the request changes.

Every golden request of every client is sent to every upstream, streamed and not: with an edit that changes nothing, and
with one that adds a system message. An upstream of the client's dialect gets the client's body with the edit merged in.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, Usage, errors
from intellirouter.dialects import Route
from intellirouter.dialects.adapt.forced_choice import forced_call
from intellirouter.dialects.adapt.inline_media import with_fetched
from intellirouter.dialects.calls import ConversationCall, narrow_call
from intellirouter.dialects.ir import (
    Conversation,
    Message,
    Part,
    Text,
)
from intellirouter.dialects.openai_chat import complete_calls
from tests.support.dialects.generated import conversations
from tests.support.dialects.golden import load
from tests.support.dialects.meaning import all_text, silent_losses, without_whitespace
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    OTHERS,
    UPSTREAM_DEFAULTS,
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
INSTRUCTIONS_FIRST = "`instructions` precede all of `input`, wherever the edited message is"
"""Why the turns of a responses request may have another order than in the edited conversation."""
GENERATE_IS_TRANSLATED = "an edited `/api/generate` is sent to `/api/chat`: a prompt cannot contain further messages"
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
def test_an_edit_without_changes_sends_the_same_request(
    client: str, name: str, case: dict[str, Any], is_stream: bool
) -> None:
    for target in TARGETS.values():
        call = call_of(client, variant(client, case, is_stream=is_stream))
        endpoint = endpoint_for(client, call)
        sent = send(endpoint, call, target)
        same = endpoint.conversation(call)
        assert same is not None
        assert endpoint.edited(call, copy.deepcopy(same)) is call
        # The same through the merge, like after an edit that was reverted.
        known = narrow_call(call, ConversationCall)
        again = send(endpoint, structs.replace(known, edited=copy.deepcopy(same), is_edited=True), target)
        if isinstance(sent, errors.UnsupportedFeature) or isinstance(again, errors.UnsupportedFeature):
            assert type(sent) is type(again)
        elif not (is_generate(call) and target.dialects[0] == "ollama"):  # GENERATE_IS_TRANSLATED
            assert (again.path, again.headers, again.losses) == (sent.path, sent.headers, sent.losses)
            assert json.loads(again.body) == json.loads(sent.body)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(("client", "name", "case"), CASES)
def test_an_added_message_arrives_once_and_nothing_is_lost(
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
    if target.dialects[0] == "ollama" and (forced := forced_call(before)) is not None:
        before = forced.requested(before, LossReport())
    losses = {loss.field: loss.how for loss in sent.losses}
    names = client_of(client, call.body).field_names
    return silent_losses(before, after, losses, names, UPSTREAM_DEFAULTS[target.name])


def changed_besides(sent: UpstreamRequest, edited: UpstreamRequest, target: Deployment, place: int) -> list[str]:
    """Return the differences of both decoded requests, without the added message and its own losses."""
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
def test_the_same_dialect_gets_the_clients_body_with_the_edit(client: str, name: str, case: dict[str, Any]) -> None:
    """Every member of the client's body is in the edited one, with its original spelling."""
    for target_name, target in TARGETS.items():
        call = call_of(client, case)
        if target.dialects[0] != client or is_generate(call) or target_name == "bare":  # needs an instruction
            continue
        endpoint = endpoint_for(client, call)
        sent, original = send(endpoint, call, target), endpoint.conversation(call)
        assert original is not None
        edited = send(endpoint, endpoint.edited(call, with_message(original, persona())), target)
        if isinstance(sent, UpstreamRequest) and isinstance(edited, UpstreamRequest):
            before, after = json.loads(sent.body), json.loads(edited.body)
            assert {each: after[each] for each in after if each not in CONTENT_MEMBERS} == {
                each: before[each] for each in before if each not in CONTENT_MEMBERS
            }
            for each in CONTENT_MEMBERS & before.keys():
                assert before[each] is None or _contains(after[each], before[each]), each


CONTENT_MEMBERS = {"messages", "input", "system", "systemInstruction", "system_instruction", "contents"}
"""The members of requests that contain the messages."""


def _contains(after: Any, before: Any) -> bool:
    """Return whether a list has all elements of another, in order. A text may have become one of several parts."""
    if isinstance(before, str):
        return json.dumps(before)[1:-1] in json.dumps(after)
    if isinstance(before, dict):
        if isinstance(after, list):
            return before in after
        return isinstance(after, dict) and all(
            name in after and (after[name] == value or _contains(after[name], value)) for name, value in before.items()
        )
    if not isinstance(before, list):
        return bool(after == before)
    rest = iter(after)
    return all(any(element == each for each in rest) for element in before)


@st.composite
def edits(draw: st.DrawFn, original: Conversation) -> Conversation:
    """Return an edit like those of stages: removed, changed and added messages, a changed parameter."""
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
@given(conversation=conversations(), data=st.data())
def test_random_edits_arrive_without_unreported_losses(
    client: str, conversation: Conversation, data: st.DataObject
) -> None:
    """Generated requests, edited at random, for an upstream of the same dialect."""
    target = BY_UPSTREAM[client]
    written = translate(plain_call("openai_chat"), "openai_chat", target, form=conversation)
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
def test_answers_are_relayed_like_those_of_unedited_calls(dialect: str, case: dict[str, Any]) -> None:
    body, target = json.dumps(case["body"], ensure_ascii=False).encode(), BY_UPSTREAM[dialect]
    outcomes = [
        outcome(lambda route=route, call=call: route.decode_response(body, call, target))
        for route, call in routes_of(dialect, target, is_stream=False)
    ]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(("dialect", "case"), [each for name in CLIENTS for each in answers_of(name, "streams")])
def test_streams_are_relayed_like_those_of_unedited_calls(
    dialect: str, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complete_calls, "new_id", lambda prefix: f"{prefix}new")
    wire, target = wire_of(dialect, case), BY_UPSTREAM[dialect]

    def relayed(route: Route, call: Call) -> Any:
        relay = route.relay(call, target)
        out = b"".join(relay.feed(wire[at : at + 7]) for at in range(0, len(wire), 7)) + relay.end()
        return out, relay.usage, relay.finish_reason, relay.content_events

    outcomes = [
        outcome(lambda route=route, call=call: relayed(route, call))
        for route, call in routes_of(dialect, target, is_stream=True)
    ]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_answers_are_translated_like_those_of_unedited_calls(client: str, upstream: str) -> None:
    target = BY_UPSTREAM[upstream]
    for _, case in load(upstream, "responses"):
        if set(case["features"]) <= {"text", "finish_stop", "usage", "unicode"}:
            body = json.dumps(case["body"], ensure_ascii=False).encode()
            outcomes = [
                upstream_of(client).decode(route.decode_response(body, call, target).body or body, BY_UPSTREAM[client])
                for route, call in routes_of(client, target, is_stream=False)
            ]
            assert outcomes[0].choices == outcomes[1].choices
            if upstream_of(upstream).decode(body, target).usage is not None:
                assert outcomes[0].usage == outcomes[1].usage
            else:  # the input is estimated from the size of the request
                first, second = (each.usage or Usage() for each in outcomes)
                assert first.total_output_tokens == second.total_output_tokens
    for _, case in load(upstream, "streams"):
        if set(case["features"]) <= {"text", "finish_stop", "usage", "unicode"}:
            wire = wire_of(upstream, case)
            responses = []
            for route, call in routes_of(client, target, is_stream=True):
                relay = route.relay(call, target)
                responses.append(collected(client, relay.feed(wire) + relay.end()))
            assert responses[0].choices == responses[1].choices
