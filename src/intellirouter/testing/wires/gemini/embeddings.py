"""Google's embeddings: single, batch, and the older `predict` method of Vertex AI."""

from typing import Any, Final

from intellirouter.fake.embedding import embed_text
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.gemini.reply import GoogleError, json_reply

DIMENSIONS: Final = 768
MAX_DIMENSIONS: Final = 3072
MAX_BATCH: Final = 100


def embed_reply(request: dict[str, Any]) -> Reply:
    text, vector = _embedded(request)
    return json_reply({"embedding": {"values": vector}, "usageMetadata": {"promptTokenCount": count_tokens(text)}})


def batch_embed_reply(request: dict[str, Any]) -> Reply:
    requests = request.get("requests") or []
    if len(requests) > MAX_BATCH:
        raise GoogleError(
            400, f"* BatchEmbedContentsRequest.requests: at most {MAX_BATCH} requests can be in one batch\n"
        )
    return json_reply({"embeddings": [{"values": _embedded(one)[1]} for one in requests]})


def predict_reply(document: dict[str, Any]) -> Reply:
    """Answer `{"instances": [{"content": …}]}`."""
    instances = document.get("instances")
    if not isinstance(instances, list) or not instances:
        raise GoogleError(400, "instances must be a list of at least one object with a content.")
    parameters = document.get("parameters") or {}
    predictions = []
    for instance in instances:
        text = instance.get("content") if isinstance(instance, dict) else None
        if not isinstance(text, str) or not text:
            raise GoogleError(400, "The text content is empty.")
        vector = embed_text(text, _dimensions(parameters.get("outputDimensionality")))
        statistics = {"token_count": count_tokens(text), "truncated": False}
        predictions.append({"embeddings": {"values": vector, "statistics": statistics}})
    return json_reply({"predictions": predictions})


def _embedded(request: dict[str, Any]) -> tuple[str, list[float]]:
    parts = (request.get("content") or {}).get("parts") or []
    text = " ".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    if not text:
        raise GoogleError(400, "* EmbedContentRequest.content: contents is not specified\n")
    return text, embed_text(text, _dimensions(request.get("output_dimensionality")))


def _dimensions(wanted: Any) -> int:
    if wanted is None:
        return DIMENSIONS
    if not isinstance(wanted, int) or not 1 <= wanted <= MAX_DIMENSIONS:
        raise GoogleError(400, f"output_dimensionality must be in the range [1, {MAX_DIMENSIONS}].")
    return wanted
