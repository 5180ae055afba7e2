"""Anthropic's API: authentication, and which path leads to which endpoint."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from intellirouter.fake.models import ECHO, ModelBehavior, find_behavior
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply, RequestRejected, json_object
from intellirouter.testing.wires.anthropic.cache import pieces_of
from intellirouter.testing.wires.anthropic.render import messages_reply
from intellirouter.testing.wires.anthropic.reply import MessagesError, json_reply
from intellirouter.testing.wires.anthropic.request import REFUSES, count_messages, parse_messages
from intellirouter.testing.wires.shared.prompt_cache import PromptCache
from intellirouter.testing.wires.shared.request import WireRequest

MODELS: Final = ("claude-mock-large", "claude-mock-small")
MAX_TOKENS: Final = 128_000
MAX_INPUT_TOKENS: Final = 200_000
_CREATED: Final = "2025-01-01T00:00:00Z"


class AnthropicApi:
    """Answers requests below Anthropic's base URL."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self._cache = PromptCache()

    def reset(self) -> None:
        self._cache.clear()

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            self._authenticate(request)
            return self._answer(request)
        except RequestRejected as error:
            return error.reply()

    def _authenticate(self, request: WireRequest) -> None:
        key = request.headers.get("x-api-key") or request.key
        if not key:
            raise MessagesError(401, "x-api-key header is required")
        if self._api_key is not None and key != self._api_key:
            raise MessagesError(401, "invalid x-api-key")
        if not request.headers.get("anthropic-version"):
            raise MessagesError(400, "anthropic-version: header is required")

    def _answer(self, request: WireRequest) -> Reply:
        path = request.path.rstrip("/")
        if path in ("/v1/messages", "/v1/messages/count_tokens"):
            if request.method != "POST":
                raise MessagesError(405, "Method Not Allowed")
            return self._messages(request, is_count=path.endswith("count_tokens"))
        if path == "/v1/models" or path.startswith("/v1/models/"):
            if request.method != "GET":
                raise MessagesError(405, "Method Not Allowed")
            name = unquote(path.removeprefix("/v1/models").removeprefix("/"))
            return _describe(name) if name else _list(request, MODELS)
        raise MessagesError(404, "Not Found")

    def _messages(self, request: WireRequest, *, is_count: bool) -> Reply:
        document = json_object(request.body)
        if document is None:
            raise MessagesError(400, "The request body is not valid JSON: expected an object")
        name = document.get("model")
        request.model = name if isinstance(name, str) else None
        betas = request.headers.get("anthropic-beta", "")
        behavior = _behavior(request.model)
        if is_count:
            return json_reply({"input_tokens": count_messages(document, betas)})
        parsed = parse_messages(document, betas)
        parsed.cache = self._cache.use(parsed.model, pieces_of(parsed.prompt))
        parsed.cached_tokens, parsed.cache_write_tokens = parsed.cache.read, parsed.cache.written
        if REFUSES in parsed.input_text:
            behavior = msgspec.structs.replace(behavior, refuses=True)
        return messages_reply(parsed, plan_completion(parsed, behavior, created_s=request.created_s))


def _behavior(model: str | None) -> ModelBehavior:
    if model is None:
        return ECHO
    behavior = find_behavior(model) or ECHO
    if model.startswith("no-such-") or behavior.is_embedding_only:
        raise MessagesError(404, f"model: {model}")
    return behavior


def _describe(name: str) -> Reply:
    if name.startswith("no-such-"):
        raise MessagesError(404, f"model: {name}")
    return json_reply(_model_entry(name))


def _list(request: WireRequest, names: Sequence[str]) -> Reply:
    limit = request.query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise MessagesError(400, "limit: Input should be between 1 and 1000")
    after = request.query.get("after_id")
    left = names[names.index(after) + 1 :] if after in names else names
    shown = left[: int(limit)]
    return json_reply(
        {
            "data": [_model_entry(name) for name in shown],
            "has_more": len(shown) < len(left),
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
    )


def _model_entry(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _CREATED,
        "lifecycle": "active",
        "max_input_tokens": MAX_INPUT_TOKENS,
        "max_tokens": MAX_TOKENS,
    }
