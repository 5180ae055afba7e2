"""Laws between what is written and what is read, on generated conversations, answers and streams, for every pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.ir import (
    Conversation,
    Event,
    Response,
    collect,
    events_of,
)
from tests.support.dialects.answers import differences
from tests.support.dialects.generated import answers, conversations, streams
from tests.support.dialects.meaning import silent_losses
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UNSAID,
    UPSTREAMS,
    client_of,
    collected,
    encode_answer,
    encode_stream,
    plain_call,
    read_back,
    send,
    upstream_of,
)
from tests.support.dialects.rules import check_answer, check_stream


@pytest.mark.parametrize("client", CLIENTS)
@given(response=answers())
def test_an_answer_is_read_as_it_was_told(client: str, response: Response) -> None:
    body, losses = encode_answer(response, client)
    check_answer(client, body)
    again = upstream_of(client).decode(body, BY_UPSTREAM[client])
    assert differences(response, again, client, losses) == []


@pytest.mark.parametrize("client", CLIENTS)
@given(events=streams(), at_once=st.booleans())
def test_a_stream_is_read_as_it_was_told(client: str, events: list[Event], at_once: bool) -> None:
    wire, losses = encode_stream(events, client, at_once=at_once)
    check_stream(client, wire)
    response = collect(events, "x")
    assert differences(response, collected(client, wire), client, losses) == []


@given(response=answers())
def test_an_answers_events_are_the_answer(response: Response) -> None:
    assert collect(events_of(response), "x") == response


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(asked=conversations())
def test_a_conversation_arrives_or_its_losses_are_said(upstream: str, asked: Conversation) -> None:
    call, target = plain_call("openai_chat"), BY_UPSTREAM[upstream]
    call.conversation = asked
    sent = send(call, "openai_chat", target, form=asked)
    if sent.request is None:
        return
    after = read_back(sent.request, upstream)
    names = client_of("openai_chat").field_names
    assert silent_losses(sent.before, after, sent.losses, names, UNSAID[target.name]) == []


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(asked=conversations())
def test_what_arrived_says_the_same_when_it_is_sent_again(upstream: str, asked: Conversation) -> None:
    """What a dialect can say it keeps: read back and written again, the request is the same."""
    if upstream == "bedrock":
        return  # has no clients
    call, target = plain_call("openai_chat"), BY_UPSTREAM[upstream]
    sent = send(call, "openai_chat", target, form=asked)
    if sent.request is None:
        return
    after = read_back(sent.request, upstream)
    again = send(plain_call("openai_chat"), "openai_chat", target, form=after)
    assert again.request is not None
    assert silent_losses(after, read_back(again.request, upstream), again.losses, {}, UNSAID[target.name]) == []
