"""Calls of the codecs. A request is decoded once, and a call of another codec is an internal error."""

import pytest

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, UpstreamAddress, errors
from intellirouter.dialects.calls import (
    ConversationCall,
    EmbeddingsCall,
    conversation_of,
    embedding_request_of,
    narrow_call,
)
from intellirouter.dialects.ir import Conversation, EmbeddingRequest
from intellirouter.dialects.openai_chat.passthrough import ChatCall
from intellirouter.dialects.openai_embeddings.passthrough import OpenAIEmbeddingsCall
from tests.support.dialects.standard import ENDPOINTS

CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
DEPLOYMENT = Deployment(
    name="d", provider="p", vendor="v", upstream_model="um", address=UpstreamAddress(base_url="http://x")
)


def test_each_codec_returns_its_own_type_of_call() -> None:
    call = ENDPOINTS["openai_chat"].decode_request(CHAT, EMPTY_CONTEXT)
    assert narrow_call(call, ChatCall).source.messages[0].content == "hi"
    embed = ENDPOINTS["openai_embeddings"].decode_request(b'{"model":"m","input":"hi"}', EMPTY_CONTEXT)
    assert narrow_call(embed, OpenAIEmbeddingsCall).source.input == "hi"


def test_a_call_of_another_codec_is_an_internal_error() -> None:
    call = ENDPOINTS["openai_chat"].decode_request(CHAT, EMPTY_CONTEXT)
    with pytest.raises(errors.InternalError, match="EmbeddingsCall, but got ChatCall"):
        narrow_call(call, EmbeddingsCall)
    route = ENDPOINTS["anthropic_messages"].route(call, DEPLOYMENT)
    with pytest.raises(errors.InternalError):
        route.encode_request(Call(operation="chat", model="m", body=CHAT), DEPLOYMENT)


def test_decoded_requests_are_cached_in_the_call() -> None:
    chat = ConversationCall(operation="chat", model="m", body=b"")
    first = conversation_of(chat, lambda call: Conversation(dialect="x", model=call.model))
    assert conversation_of(chat, lambda _: Conversation(dialect="y", model="n")) is first
    embed = EmbeddingsCall(operation="embeddings", model="m", body=b"")
    request = embedding_request_of(embed, lambda call: EmbeddingRequest(dialect="x", model=call.model, inputs=[]))
    assert embedding_request_of(embed, lambda _: EmbeddingRequest(dialect="y", model="n", inputs=[])) is request


def test_requests_have_no_session_route_and_sessions_no_request_route() -> None:
    chat, realtime = ENDPOINTS["openai_chat"], ENDPOINTS["openai_realtime"]
    call = chat.decode_request(CHAT, EMPTY_CONTEXT)
    with pytest.raises(errors.InternalError):
        chat.session_route(call, DEPLOYMENT)
    with pytest.raises(errors.InternalError):
        realtime.route(call, DEPLOYMENT)
