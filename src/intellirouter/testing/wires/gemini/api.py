"""The APIs of AI Studio and Vertex AI: authentication, and which path leads to which method."""

import re
from typing import Any, Final
from urllib.parse import unquote

from intellirouter.fake.models import ECHO, ModelBehavior, find_behavior
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply, RequestRejected, json_object
from intellirouter.testing.wires.gemini.embeddings import batch_embed_reply, embed_reply, predict_reply
from intellirouter.testing.wires.gemini.oauth import PREFIX, Tokens
from intellirouter.testing.wires.gemini.proto import parse_message
from intellirouter.testing.wires.gemini.render import generate_reply
from intellirouter.testing.wires.gemini.reply import GoogleError, bad_key, in_array, json_reply
from intellirouter.testing.wires.gemini.request import parse_generate, prompt_tokens
from intellirouter.testing.wires.shared.request import WireRequest

MODELS: Final = ("gemini-3-mock", "gemini-mock", "gemini-embedding-mock")
_PATH: Final = re.compile(
    r"/(?P<version>v1|v1alpha|v1beta|v1beta1)/(?P<vertex>(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?)"
    r"models(?:/(?P<model>[^:]*))?(?::(?P<method>\w+))?"
)
_UNAUTHENTICATED: Final = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class GeminiApi:
    """Answers requests below Google's base URLs."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self._tokens = Tokens()

    def reset(self) -> None:
        self._tokens.clear()

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            return self._answer(request)
        except RequestRejected as error:
            reply = error.reply()
            is_array = request.path.endswith(":streamGenerateContent") and request.query.get("alt") != "sse"
            return in_array(reply) if is_array else reply

    def _answer(self, request: WireRequest) -> Reply:
        if request.path == "/token":
            return self._tokens.answer(request)
        place = _PATH.fullmatch(request.path)
        if place is None:
            raise GoogleError(404, "Requested entity was not found.")
        is_vertex = bool(place["vertex"])
        if is_vertex:
            self._authenticate_vertex(request)
        else:
            self._authenticate(request)
        model = unquote(place["model"] or "")
        if place["method"] is None:
            if request.method != "GET":
                raise GoogleError(404, "Requested entity was not found.")
            return _describe(model) if model else _list(request)
        if request.method != "POST":
            raise GoogleError(404, "Requested entity was not found.")
        return _call(request, model, place["method"], is_vertex=is_vertex)

    def _authenticate(self, request: WireRequest) -> None:
        key = request.headers.get("x-goog-api-key") or request.query.get("key") or request.key
        if not key:
            raise GoogleError(
                403,
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
                "or other form of API consumer identity to call this API.",
            )
        if self._api_key is not None and key != self._api_key:
            raise bad_key()

    def _authenticate_vertex(self, request: WireRequest) -> None:
        token = request.key
        if token.startswith(PREFIX):
            is_known = self._tokens.holds(token, request.created_s)
        else:
            is_known = bool(token) and self._api_key in (None, token)
        if not is_known:
            raise GoogleError(401, _UNAUTHENTICATED)


def _call(request: WireRequest, model: str, method: str, *, is_vertex: bool) -> Reply:
    request.model = model
    document = json_object(request.body)
    if document is None:
        raise GoogleError(400, "Invalid JSON payload received. Expected an object at the root of the message.")
    behavior = find_behavior(model) or ECHO
    match method:
        case "generateContent" | "streamGenerateContent":
            return _generate(request, document, behavior, method, is_vertex=is_vertex)
        case "countTokens":
            _require(model, method, is_there=not behavior.is_embedding_only)
            counted = parse_message(document, "CountTokensRequest")
            tokens = prompt_tokens(counted.get("generate_content_request") or counted)
            details = [{"modality": "TEXT", "tokenCount": tokens}]
            return json_reply({"totalTokens": tokens, "promptTokensDetails": details})
        case "embedContent":
            _require(model, method)
            return embed_reply(parse_message(document, "EmbedContentRequest"))
        case "batchEmbedContents":
            _require(model, method)
            return batch_embed_reply(parse_message(document, "BatchEmbedContentsRequest"))
        case "predict" if is_vertex:
            _require(model, method)
            return predict_reply(document)
        case _:
            raise GoogleError(404, f"Unknown method {method}.")


def _generate(
    request: WireRequest, document: dict[str, Any], behavior: ModelBehavior, method: str, *, is_vertex: bool
) -> Reply:
    model = request.model or ""
    _require(model, method, is_there=not behavior.is_embedding_only)
    parsed = parse_generate(model, document, is_vertex=is_vertex)
    form = "whole"
    if method == "streamGenerateContent":
        form = "sse" if request.query.get("alt") == "sse" else "array"
    return generate_reply(parsed, form, plan_completion(parsed, behavior, created_s=request.created_s))


def _require(model: str, method: str, *, is_there: bool = True) -> None:
    if not is_there or model.startswith("no-such-") or not model:
        raise GoogleError(
            404,
            f"models/{model} is not found for API version v1beta, or is not supported for {method}. Call ListModels to "
            "see the list of available models and their supported methods.",
        )


def _describe(model: str) -> Reply:
    _require(model, "GetModel")
    return json_reply(_model_entry(model))


def _list(request: WireRequest) -> Reply:
    size, begin = request.query.get("pageSize", "50"), request.query.get("pageToken") or "0"
    if not size.isdecimal() or not begin.isdecimal():
        raise GoogleError(400, "page_size and page_token must be those of an earlier answer.")
    first, last = int(begin), int(begin) + (int(size) or 50)
    page: dict[str, Any] = {"models": [_model_entry(name) for name in MODELS[first:last]]}
    if last < len(MODELS):
        page["nextPageToken"] = str(last)
    return json_reply(page)


def _model_entry(name: str) -> dict[str, Any]:
    embeds = "embed" in name
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": "A model for tests.",
        "inputTokenLimit": 2048 if embeds else 1_048_576,
        "outputTokenLimit": 1 if embeds else 65_536,
        "supportedGenerationMethods": ["embedContent"] if embeds else ["generateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
    }
