"""Answer chat completion and embedding requests: from the bytes of the request to a reply."""

from typing import Any

from intellirouter.fake.models import ECHO, ModelBehavior, find_behavior
from intellirouter.fake.openai.chat_reply import chat_reply
from intellirouter.fake.openai.chat_request import parse_chat
from intellirouter.fake.openai.embeddings import answer_embeddings
from intellirouter.fake.openai.fields import decode_body, read_model
from intellirouter.fake.openai.replies import OpenAiError, not_found
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply


def answer(
    path: str, body: bytes, *, created_s: int, behavior: ModelBehavior | None = None
) -> tuple[str | None, Reply]:
    """Answer `POST path` (`/chat/completions`, `/embeddings`); `created_s` is in seconds since 1970.

    `behavior` overrides the behavior that the model's name selects.

    Returns the model that the request names (None if it could not be read) and the reply. Errors are returned as
    replies, never raised.
    """
    model: str | None = None
    try:
        request = decode_body(body)
        model = read_model(request)
        behavior = behavior or find_behavior(model) or ECHO
        if path == "/chat/completions":
            return model, _chat(model, behavior, request, created_s)
        if path == "/embeddings":
            return model, answer_embeddings(model, request)
        raise not_found("POST", f"/v1{path}")
    except OpenAiError as error:
        return model, error.reply()


def _chat(model: str, behavior: ModelBehavior, document: dict[str, Any], created_s: int) -> Reply:
    if behavior.is_embedding_only:
        raise OpenAiError(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        )
    request = parse_chat(model, document)
    return chat_reply(request, plan_completion(request, behavior, created_s=created_s))
