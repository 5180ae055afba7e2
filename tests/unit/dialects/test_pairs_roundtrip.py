"""Generated conversations, responses and streams are the same after encoding and decoding, for all dialects."""

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
    UPSTREAM_DEFAULTS,
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
def test_a_response_is_decoded_to_what_was_encoded(client: str, response: Response) -> None:
    body, losses = encode_answer(response, client)
    check_answer(client, body)
    again = upstream_of(client).decode(body, BY_UPSTREAM[client])
    assert differences(response, again, client, losses) == []


@pytest.mark.parametrize("client", CLIENTS)
@given(events=streams(), at_once=st.booleans())
def test_a_stream_is_decoded_to_what_was_encoded(client: str, events: list[Event], at_once: bool) -> None:
    wire, losses = encode_stream(events, client, at_once=at_once)
    check_stream(client, wire)
    response = collect(events, "x")
    assert differences(response, collected(client, wire), client, losses) == []


@given(response=answers())
def test_the_events_of_a_response_collect_to_the_response(response: Response) -> None:
    assert collect(events_of(response), "x") == response


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(conversation=conversations())
def test_a_conversation_arrives_except_for_reported_losses(upstream: str, conversation: Conversation) -> None:
    call, target = plain_call("openai_chat"), BY_UPSTREAM[upstream]
    call.conversation = conversation
    sent = send(call, "openai_chat", target, form=conversation)
    if sent.request is None:
        return
    after = read_back(sent.request, upstream)
    names = client_of("openai_chat").field_names
    assert silent_losses(sent.before, after, sent.losses, names, UPSTREAM_DEFAULTS[target.name]) == []


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(conversation=conversations())
def test_a_decoded_request_is_encoded_without_further_losses(upstream: str, conversation: Conversation) -> None:
    """What a dialect can express is kept: decoded and encoded again, the request is the same."""
    if upstream == "bedrock":
        return  # there are no clients of this dialect
    call, target = plain_call("openai_chat"), BY_UPSTREAM[upstream]
    sent = send(call, "openai_chat", target, form=conversation)
    if sent.request is None:
        return
    after = read_back(sent.request, upstream)
    again = send(plain_call("openai_chat"), "openai_chat", target, form=after)
    assert again.request is not None
    assert (
        silent_losses(after, read_back(again.request, upstream), again.losses, {}, UPSTREAM_DEFAULTS[target.name]) == []
    )
