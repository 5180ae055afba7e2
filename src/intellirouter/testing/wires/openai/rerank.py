"""Reranking in the formats of Cohere (`/v2/rerank`, `/v1/rerank`) and Jina (`/v1/rerank`, models named `jina-…`)."""

from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.embedding import embed_text
from intellirouter.fake.reply import JSON_TYPE, ErrorInfo, Reply, RequestRejected, Sse, WireFormat, json_object
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.shared.request import WireRequest

PATHS: Final = ("/rerank", "/v2/rerank")
DIMENSIONS: Final = 256
MAX_DOCUMENTS: Final = 1000
_MESSAGES: Final = {
    401: "invalid api token",
    429: "You are using a Trial key, which is limited to 10 API calls / minute.",
    500: "internal server error",
}


class RerankError(RequestRejected):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.error = ErrorInfo(status=status, message=message)

    def reply(self) -> Reply:
        return _render_error(self.error)


def _render_error(error: ErrorInfo) -> Reply:
    """Render an error in Cohere's format."""
    message = error.message or _MESSAGES.get(error.status, f"error {error.status}")
    reply = _json({"id": new_id(""), "message": message})
    reply.status = error.status
    if error.retry_after_s is not None:
        reply.headers.append(("retry-after", f"{error.retry_after_s:g}"))
    return reply


RERANK_WIRE: Final = WireFormat(
    name="rerank",
    framing=Sse(),
    render_error=_render_error,
    error_event=lambda _error, _at: b"",
    filler_event=(b"", b""),
)


def _json(document: Any) -> Reply:
    return Reply(headers=[("content-type", JSON_TYPE)], parts=[msgspec.json.encode(document)], wire=RERANK_WIRE)


def rerank(request: WireRequest, path: str) -> Reply | None:
    if path not in PATHS:
        return None
    document = json_object(request.body)
    if request.method != "POST" or document is None:
        raise RerankError(400, "invalid request: the body must be a JSON object")
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise RerankError(400, "invalid request: model is required")
    request.model = model
    if model.startswith("no-such-"):
        raise RerankError(404, f"model '{model}' not found, make sure the correct model ID was used")
    query = document.get("query")
    if not isinstance(query, str) or not query:
        raise RerankError(400, "invalid request: query must not be empty")
    texts = _texts(document.get("documents"))
    top = document.get("top_n")
    if top is not None and (not isinstance(top, int) or top < 1):
        raise RerankError(400, "invalid request: top_n must be a positive integer")
    ranked = _ranked(query, texts)[:top]
    tokens = count_tokens(query) + sum(map(count_tokens, texts))
    if model.startswith("jina"):
        shows = document.get("return_documents", True)
        results = [_result(index, score, texts[index] if shows else None) for index, score in ranked]
        return _json({"model": model, "object": "list", "usage": {"total_tokens": tokens}, "results": results})
    version = "2" if path.startswith("/v2") else "1"
    shows = version == "1" and document.get("return_documents") is True
    results = [_result(index, score, texts[index] if shows else None) for index, score in ranked]
    meta = {"api_version": {"version": version}, "billed_units": {"search_units": 1}}
    return _json({"id": new_id(""), "results": results, "meta": meta})


def _texts(documents: Any) -> list[str]:
    """Return the text of each document: a string, or an object with a `text`."""
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_DOCUMENTS:
        raise RerankError(400, f"invalid request: list of documents must have 1 to {MAX_DOCUMENTS} items")
    texts: list[str] = []
    for document in documents:
        text = document.get("text") if isinstance(document, dict) else document
        if not isinstance(text, str):
            raise RerankError(400, "invalid request: each document must be a string or an object with a text")
        texts.append(text)
    return texts


def _ranked(query: str, texts: list[str]) -> list[tuple[int, float]]:
    """Return (index, relevance from 0 to 1), sorted by relevance."""
    query_vector = embed_text(query, DIMENSIONS)
    scored = []
    for index, text in enumerate(texts):
        similarity = sum(a * b for a, b in zip(query_vector, embed_text(text, DIMENSIONS), strict=True))
        scored.append((index, round(min(max((similarity + 1) / 2, 0), 1), 6)))
    return sorted(scored, key=lambda pair: -pair[1])


def _result(index: int, score: float, text: str | None) -> dict[str, Any]:
    shown = {} if text is None else {"document": {"text": text}}
    return {"index": index, "relevance_score": score, **shown}
