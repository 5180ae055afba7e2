"""Embeddings: `:embedContent` for one text, `:batchEmbedContents` for several. The API reports no usage.

Source: Google, Generative Language API, "Embeddings".
"""

import math
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Deployment, LossReport, RequestContext, UpstreamRequest, errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.calls import EmbeddingsCall, embedding_request_of
from intellirouter.dialects.gemini.client import read_model
from intellirouter.dialects.gemini.resources import resource_name
from intellirouter.dialects.gemini.upstream_errors import decode_error, decode_error_object
from intellirouter.dialects.gemini.upstream_request import method_path
from intellirouter.dialects.gemini.wire import DIALECT, Members, first_of, objects_in, read_json
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.large_json import LARGE_BYTES, check_size, decode_apart, encode_apart
from intellirouter.dialects.wire.request_validation import decode_body

_NEEDS: Final = frozenset({"embeddings"})
_TASK_TYPES: Final = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""Google's task types by Cohere's names."""

_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.Encoder().encode


class GeminiEmbeddingsClient:
    """Implements `protocols.EmbeddingsClient`. A body has either `requests` or `content`."""

    dialect = DIALECT
    field_names: Final = {"dimensions": "outputDimensionality", "task": "taskType", "inputs": "requests"}

    def decode_request(self, body: bytes, context: RequestContext) -> EmbeddingsCall:
        model = read_model(context)
        return EmbeddingsCall(
            operation="embeddings",
            model=model,
            body=body,
            dialect=DIALECT,
            context=context,
            needs=_NEEDS,
            request=_read_requests(Members(_decode_body(body)), model),
        )

    def decode(self, call: Call) -> EmbeddingRequest:
        return embedding_request_of(call, self._decode_request)

    def _decode_request(self, call: Call) -> EmbeddingRequest:
        return _read_requests(Members(_decode_body(call.body)), call.model)

    def encode(self, answer: EmbeddingResponse, call: Call, losses: LossReport) -> bytes:  # noqa: ARG002 - there are no losses
        vectors = [{"values": vector} for vector in encode_apart(answer.vectors)]
        if self.decode(call).is_single and len(vectors) == 1:
            return _encode({"embedding": vectors[0]})
        return _encode({"embeddings": vectors})


def _decode_body(body: bytes) -> dict[str, Any]:
    return decode_body(_decoder, body)


def _read_requests(body: Members, model: str) -> EmbeddingRequest:
    is_batch = body.has("requests")
    requests = list(body.each("requests")) if is_batch else [body]
    if not requests:
        raise errors.InvalidRequest(
            "'requests' must not be empty.", code="invalid_value", param="requests", hint="Send at least one request."
        )
    first, *others = [_read_request(request, model) for request in requests]
    for other in others:
        if (other.task, other.title, other.dimensions) != (first.task, first.title, first.dimensions):
            raise errors.InvalidRequest(
                "All 'requests' of a batch must have the same taskType, title and outputDimensionality.",
                code="invalid_value",
                param="requests",
                hint="Send a separate batch for each combination.",
            )
        first.inputs += other.inputs
    if is_batch:
        first.extras.update(body.rest())
    first.is_single = not is_batch
    return first


def _read_request(request: Members, model: str) -> EmbeddingRequest:
    request.take("model")
    config = request.members("embedContentConfig")
    if not request.has("content"):
        place = request.path_of("content")
        raise errors.InvalidRequest(f"Missing '{place}'.", code="missing_required_parameter", param=place)
    text = _read_text(request.members("content"))
    dimensions = request.integer("outputDimensionality")
    return EmbeddingRequest(
        dialect=DIALECT,
        model=model,
        inputs=[text],
        task=request.text("taskType") or config.text("taskType"),
        title=request.text("title") or config.text("title"),
        dimensions=config.integer("outputDimensionality") if dimensions is None else dimensions,
        extras={**request.rest(), **config.rest()},
    )


def _read_text(content: Members) -> str:
    texts: list[str] = []
    for part in content.each("parts"):
        if not part.has("text"):
            raise errors.UnsupportedFeature("Only text can be embedded.", param=part.path)
        texts.append(part.text("text"))
    if not texts:
        place = content.path_of("parts")
        raise errors.InvalidRequest(
            f"Invalid value at '{place}': at least one part with text is required.", code="invalid_type", param=place
        )
    return "\n".join(texts)


class GeminiEmbeddingsUpstream:
    """Implements `protocols.EmbeddingsUpstream`."""

    def encode(self, request: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        if request.user:
            losses.dropped("user")
        requests = [_write_request(text, request, deployment, losses) for text in request.inputs]
        if len(requests) == 1:
            return UpstreamRequest(path=method_path(deployment, "embedContent"), body=encode_document(requests[0]))
        return UpstreamRequest(
            path=method_path(deployment, "batchEmbedContents"), body=encode_document({"requests": requests})
        )

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse:
        if len(body) > LARGE_BYTES:
            return EmbeddingResponse(
                model=deployment.upstream_model, vectors=_read_large(body, deployment), dialect=DIALECT
            )
        document = first_of(read_json(body)) or {}
        if document.get("error"):
            raise decode_error_object(document["error"], deployment.name, body)
        batch = document.get("embeddings")
        single = document.get("embedding")
        embeddings = [single] if isinstance(single, dict) else objects_in(batch)
        vectors = [_read_vector(each.get("values")) for each in embeddings]
        if not vectors or (isinstance(batch, list) and len(batch) != len(vectors)):
            raise errors.UpstreamMalformed("The upstream returned no `embeddings`.")
        return EmbeddingResponse(model=deployment.upstream_model, vectors=vectors, dialect=DIALECT)

    decode_error = staticmethod(decode_error)


class _Embedding(Struct):
    values: msgspec.Raw = msgspec.Raw(b"null")


class _LargeBatch(Struct):
    embeddings: list[_Embedding] | None = None
    embedding: _Embedding | None = None
    error: Any = None


_large_decoder: Final = msgspec.json.Decoder(_LargeBatch)
_values_decoder: Final = msgspec.json.Decoder()


def _read_large(body: bytes, deployment: Deployment) -> list[list[float]]:
    """Return the vectors of a large response, which are decoded one by one."""
    check_size(body, counts_values=False)
    try:
        batch = _large_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(
            f"The upstream returned an invalid response: {describe_json_error(error)}."
        ) from None
    if batch.error:
        raise decode_error_object(batch.error, deployment.name, body)
    embeddings = [batch.embedding] if batch.embedding is not None else batch.embeddings
    if not embeddings:
        raise errors.UpstreamMalformed("The upstream returned no `embeddings`.")
    return [_read_vector(decode_apart(_values_decoder, each.values)) for each in embeddings]


def _write_request(
    text: str | list[int], request: EmbeddingRequest, deployment: Deployment, losses: LossReport
) -> dict[str, Any]:
    if not isinstance(text, str):
        raise errors.UnsupportedFeature(
            "Gemini does not support embeddings of token ids.", param=losses.name_of("inputs")
        )
    body: dict[str, Any] = {
        "model": resource_name(deployment.upstream_model),
        "content": {"parts": [{"text": text}]},
    }
    if request.task:
        body["taskType"] = _TASK_TYPES.get(request.task.lower(), request.task)
    if request.title:
        body["title"] = request.title
    if request.dimensions is not None:
        body["outputDimensionality"] = request.dimensions
    if request.dialect == DIALECT:
        body.update(request.extras)
    return body


def _read_vector(values: Any) -> list[float]:
    if not isinstance(values, list) or not values:
        raise errors.UpstreamMalformed("The upstream returned an embedding without `values`.")
    if not all(type(value) in {float, int} and math.isfinite(value) for value in values):
        raise errors.UpstreamMalformed("The upstream returned an embedding that is not a list of finite numbers.")
    return [float(value) for value in values]
