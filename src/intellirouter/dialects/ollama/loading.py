"""Requests that only load or unload a model: those without messages, prompt or input. No other dialect has them.

They are passed on to Ollama upstreams. For other upstreams, whose models are always loaded, `LOAD_ROUTE` answers.
Source: Ollama's `docs/api.md`, "Load a model", "Unload a model".
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import NO_USAGE, Call, Deployment, Loss
from intellirouter.dialects.calls import answer_model, narrow_call
from intellirouter.dialects.ollama.client_embeddings import EmbedCall, LegacyEmbedCall
from intellirouter.dialects.ollama.client_request import ChatRequest, OllamaCall
from intellirouter.dialects.ollama.wire import created_text
from intellirouter.dialects.protocols import Answer
from intellirouter.dialects.routes.local import LocalRoute

_ZERO_DURATION: Final = re.compile(r"[+-]?(?:0+(?:\.0*)?(?:ns|us|µs|μs|ms|s|m|h)?)+")


def is_load(call: Call) -> bool:
    """Return whether a call only loads or unloads the model."""
    if isinstance(call, OllamaCall):
        request = call.source.request
        return not (request.messages if isinstance(request, ChatRequest) else request.prompt)
    if isinstance(call, EmbedCall):
        return not call.source.input
    return isinstance(call, LegacyEmbedCall) and not call.source.prompt


def load_answer(call: Call, model: str) -> bytes:
    """Return the response with which Ollama confirms that it has loaded or unloaded the model."""
    if isinstance(call, EmbedCall):
        return msgspec.json.encode({"model": model, "embeddings": []})
    if isinstance(call, LegacyEmbedCall):
        return b'{"embedding":[]}'
    request = narrow_call(call, OllamaCall).source.request
    body: dict[str, Any] = {"model": model, "created_at": created_text(0)}
    if isinstance(request, ChatRequest):
        body["message"] = {"role": "assistant", "content": ""}
    else:
        body["response"] = ""
    body["done"] = True
    body["done_reason"] = "unload" if _is_zero(request.keep_alive) else "load"
    return msgspec.json.encode(body)


def _is_zero(keep_alive: float | str | None) -> bool:
    if isinstance(keep_alive, str):
        return _ZERO_DURATION.fullmatch(keep_alive[:40]) is not None
    return keep_alive == 0


class LoadRoute(LocalRoute):
    """Implements `protocols.Route` for requests that only load a model."""

    unsupported = "cannot load"
    not_streamed = "Responses to requests that only load a model cannot be streamed."

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:  # noqa: ARG002
        losses = (Loss("keep_alive", "emulated", "the model is always loaded"),)
        return Answer(NO_USAGE, "stop", load_answer(call, answer_model("", call, deployment)), losses)


LOAD_ROUTE: Final = LoadRoute()
