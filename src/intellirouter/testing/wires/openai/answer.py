"""From a request's bytes to a reply: the surfaces below `/v1`."""

from collections.abc import Sequence
from typing import Any, Final

from intellirouter.testing.plan import PLAIN, Magic, magic_of, plan_completion
from intellirouter.testing.wires.openai.chat_render import chat_reply
from intellirouter.testing.wires.openai.chat_request import parse_chat
from intellirouter.testing.wires.openai.embeddings import answer_embeddings
from intellirouter.testing.wires.openai.reply import VendorError, json_reply, model_not_found, not_found
from intellirouter.testing.wires.openai.requests import decoded, named_model
from intellirouter.testing.wires.shared import Reply

MODEL_CREATED_S: Final = 1_735_689_600


def answer(path: str, body: bytes, *, created_s: int, magic: Magic | None = None) -> tuple[str | None, Reply]:
    """Answer `POST path` (`/chat/completions`, `/embeddings`); `created_s` is in seconds since 1970.

    `magic` replaces what the model's name asks for.

    Returns the model that the request names (None when it could not be read that far) and the reply. Errors are
    replies too: nothing is raised.
    """
    model: str | None = None
    try:
        request = decoded(body)
        model = named_model(request)
        magic = magic or magic_of(model) or PLAIN
        if path == "/chat/completions":
            return model, _chat(model, magic, request, created_s)
        if path == "/embeddings":
            return model, answer_embeddings(model, request)
        raise not_found("POST", f"/v1{path}")
    except VendorError as refusal:
        return model, refusal.reply()


def list_models(names: Sequence[str]) -> Reply:
    return json_reply({"object": "list", "data": [_card(name) for name in names]})


def describe_model(name: str) -> Reply:
    """Answer `GET /v1/models/NAME`. Raises `VendorError` (404) for `no-such-…`."""
    if name.startswith("no-such-"):
        raise model_not_found(name)
    return json_reply(_card(name))


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MODEL_CREATED_S, "owned_by": "mock-vendor"}


def _chat(model: str, magic: Magic, request: dict[str, Any], created_s: int) -> Reply:
    if magic.is_embedding_only:
        raise VendorError(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        )
    ask = parse_chat(model, request)
    return chat_reply(ask, plan_completion(ask, magic, created_s=created_s))
