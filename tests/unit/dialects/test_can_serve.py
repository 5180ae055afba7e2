"""`Endpoint.can_serve`: routing, the route itself and the dry run agree on which deployments can serve a call."""

import itertools
import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import Call, Deployment, Loss, RequestContext, UpstreamAddress, errors
from intellirouter.dialects import DIALECTS, Endpoint
from intellirouter.dialects.spec import SessionEndpoint
from tests.support.dialects.pairs import BY_UPSTREAM
from tests.support.dialects.staged import persona, with_message
from tests.support.dialects.standard import ENDPOINTS

CONTEXT = RequestContext(model="m", headers=(("content-type", "multipart/form-data; boundary=b"),))
TEXT = {"role": "user", "content": "hi"}
FORM = b"".join(
    b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\nx\r\n' % (name, b'; filename="f"' if is_file else b"")
    for name, is_file in ((b"model", False), (b"prompt", False), (b"image", True), (b"file", True))
)
BODIES: dict[str, Any] = {
    "openai_chat": {"model": "m", "messages": [TEXT]},
    "openai_responses": {"model": "m", "input": "hi"},
    "openai_input_tokens": {"model": "m", "input": "hi"},
    "openai_completions": {"model": "m", "prompt": "hi"},
    "openai_embeddings": {"model": "m", "input": "hi"},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    "gemini_count_tokens": {"contents": [{"parts": [{"text": "hi"}]}]},
    "gemini_embed": {"content": {"parts": [{"text": "hi"}]}},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [TEXT]},
    "anthropic_count_tokens": {"model": "m", "messages": [TEXT]},
    "ollama_chat": {"model": "m", "messages": [TEXT]},
    "ollama_generate": {"model": "m", "prompt": "hi"},
    "ollama_embed": {"model": "m", "input": "hi"},
    "ollama_embeddings": {"model": "m", "prompt": "hi"},
    "openai_moderations": {"model": "m", "input": "hi"},
    "openai_images": {"model": "m", "prompt": "hi"},
    "openai_speech": {"model": "m", "input": "hi"},
    "rerank": {"model": "m", "query": "hi", "documents": ["a"]},
}
SESSIONS = {row.name for spec in DIALECTS for row in spec.endpoints if isinstance(row, SessionEndpoint)}
OPERATIONS = [None, frozenset[str](), *(frozenset({name}) for name in ("chat", "completions", "embeddings", "audio"))]
OPERATIONS += [frozenset({"chat", "count_tokens"}), frozenset({"moderations", "images", "rerank", "realtime"})]
CAPABILITIES = [None, frozenset[str](), frozenset({"tools", "chat"}), frozenset({"embeddings"}), frozenset({"vision"})]
DIALECT_SETS = [(spec.name,) for spec in DIALECTS]
DIALECT_SETS += [("shout",), (), ("shout", "gemini"), ("openai_chat", "openai_responses")]
NEEDS = [frozenset[str](), frozenset({"tools"}), frozenset({"vision", "embeddings"})]


def call_of(endpoint: str) -> Call:
    body = json.dumps(BODIES[endpoint]).encode() if endpoint in BODIES else FORM + b"--b--\r\n"
    return ENDPOINTS[endpoint].decode_request(body, CONTEXT)


def deployment(**facts: Any) -> Deployment:
    known = {"name": "up", "provider": "p", "vendor": "v", "upstream_model": "um"}
    return Deployment(**{**known, "address": UpstreamAddress(base_url="http://x"), **facts})


def variants(endpoint: str) -> list[Call]:
    """Return calls that take different routes: with needs, edited, with a wrapped token in the body."""
    selected, call = ENDPOINTS[endpoint], call_of(endpoint)
    calls = [structs.replace(call, needs=call.needs | needs) for needs in NEEDS]
    calls.append(structs.replace(call, body=call.body + b" irt1. aXJ0MS "))
    if (conversation := selected.conversation(call)) is not None:
        calls.append(selected.edited(call, with_message(conversation, persona())))
    return calls


def refusal_of(endpoint: Endpoint, call: Call, target: Deployment) -> str | None:
    try:
        _ = endpoint.session_route(call, target) if endpoint.name in SESSIONS else endpoint.route(call, target)
    except errors.UnsupportedFeature as error:
        return error.message
    return None


@pytest.mark.parametrize("name", ENDPOINTS)
def test_can_serve_returns_a_reason_exactly_when_there_is_no_route(name: str) -> None:
    endpoint, served = ENDPOINTS[name], 0
    for call in variants(name):
        for dialects, operations, capabilities in itertools.product(DIALECT_SETS, OPERATIONS, CAPABILITIES):
            target = deployment(dialects=dialects, operations=operations, capabilities=capabilities)
            reason = endpoint.can_serve(call, target)
            refusal = refusal_of(endpoint, call, target)
            assert refusal == (None if reason is None else f"up {reason}.")
            served += reason is None
    assert served


@pytest.mark.parametrize(
    ("endpoint", "facts", "reason"),
    [
        ("openai_chat", {}, None),
        ("openai_chat", {"operations": frozenset({"embeddings"})}, "does not support chat"),
        ("openai_chat", {"capabilities": frozenset({"embeddings"})}, "does not support chat"),
        ("openai_embeddings", {"operations": frozenset({"chat"})}, "does not support embeddings"),
        ("openai_embeddings", {"capabilities": frozenset({"chat"})}, "does not support embeddings"),
        ("openai_completions", {"operations": frozenset({"chat"})}, None),
        ("anthropic_count_tokens", {"operations": frozenset({"chat"})}, None),
        ("anthropic_count_tokens", {"operations": frozenset({"embeddings"})}, "does not support token counts"),
        ("openai_moderations", {"dialects": ("anthropic_messages",)}, "does not support moderations"),
        ("openai_realtime", {"dialects": ("gemini",)}, "does not support realtime sessions"),
        ("gemini", {"dialects": ("shout",)}, "cannot be reached from the Gemini dialect for chat"),
        ("gemini_embed", {"dialects": ("bedrock",)}, "cannot be reached from the Gemini dialect for embeddings"),
        ("openai_embeddings", {"dialects": ("bedrock",)}, "cannot be reached from the OpenAI dialect for embeddings"),
    ],
)
def test_the_reason_continues_a_sentence_that_starts_with_the_deployment(
    endpoint: str, facts: dict[str, Any], reason: str | None
) -> None:
    assert ENDPOINTS[endpoint].can_serve(call_of(endpoint), deployment(**facts)) == reason


def test_missing_capabilities_are_named_in_order() -> None:
    call = structs.replace(call_of("openai_chat"), needs=frozenset({"vision", "tools", "audio"}))
    target = deployment(capabilities=frozenset({"audio"}))
    assert ENDPOINTS["openai_chat"].can_serve(call, target) == "does not support tools, vision"


def test_a_model_load_can_be_served_for_any_upstream_dialect() -> None:
    call = ENDPOINTS["ollama_chat"].decode_request(b'{"model":"m"}', CONTEXT)
    target = deployment(dialects=("shout",))
    assert ENDPOINTS["ollama_chat"].can_serve(call, target) is None
    assert ENDPOINTS["ollama_chat"].losses(call, target) == (
        Loss("keep_alive", "emulated", "the model is always loaded"),
    )


def test_losses_are_those_of_the_encoded_request() -> None:
    body = {"model": "m", "messages": [TEXT], "seed": 1, "max_tokens": 9}
    endpoint = ENDPOINTS["openai_chat"]
    call = endpoint.decode_request(json.dumps(body).encode(), CONTEXT)
    target = BY_UPSTREAM["anthropic_messages"]
    assert endpoint.losses(call, target) == endpoint.route(call, target).encode_request(call, target).losses
    assert Loss("seed") in endpoint.losses(call, target)
    assert endpoint.losses(call, BY_UPSTREAM["openai_chat"]) == ()


def test_losses_is_a_message_if_the_request_cannot_be_encoded() -> None:
    endpoint = ENDPOINTS["openai_chat"]
    body = {"model": "m", "messages": [TEXT], "logprobs": True}
    call = endpoint.decode_request(json.dumps(body).encode(), CONTEXT)
    assert "log probabilities" in str(endpoint.losses(call, BY_UPSTREAM["anthropic_messages"]))
    assert endpoint.losses(call, deployment(operations=frozenset({"audio"}))) == "up does not support chat."
