"""Ollama as an upstream: `POST /api/chat` and `POST /api/embed`. The base URL does not include `/api`."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Deployment, LossReport, UpstreamRequest, Usage, errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import Conversation, EmbeddingRequest, EmbeddingResponse, Response
from intellirouter.dialects.ollama import upstream_errors
from intellirouter.dialects.ollama.client_embeddings import EmbedCall, LegacyEmbedCall
from intellirouter.dialects.ollama.client_request import GenerateRequest, OllamaCall
from intellirouter.dialects.ollama.upstream_request import RequestWriter
from intellirouter.dialects.ollama.upstream_response import LineDecoder, decode_response
from intellirouter.dialects.ollama.wire import DIALECT, OPTION_PREFIX
from intellirouter.dialects.openai.upstream_errors import decode_error_in_200
from intellirouter.dialects.wire.json_edit import json_string, model_spans, replace
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.large_json import check_size, decode_apart
from intellirouter.dialects.wire.lenient import as_int
from intellirouter.dialects.wire.sse import LineSplitter

_CHAT: Final = "/api/chat"
_GENERATE: Final = "/api/generate"
_EMBED: Final = "/api/embed"
_LEGACY: Final = "/api/embeddings"


def _path_of(call: Call) -> str:
    """Return the endpoint that a client of Ollama's dialect has called."""
    if isinstance(call, OllamaCall):
        return _GENERATE if isinstance(call.source.request, GenerateRequest) else _CHAT
    if isinstance(call, EmbedCall):
        return _EMBED
    return _LEGACY if isinstance(call, LegacyEmbedCall) else _CHAT


def _relayed_request(call: Call, deployment: Deployment) -> UpstreamRequest:
    body = call.body
    if deployment.upstream_model != call.model:
        body = replace(
            body, model_spans(body, call.model, is_unique=call.is_checked), json_string(deployment.upstream_model)
        )
    return UpstreamRequest(path=_path_of(call), body=body)


class OllamaUpstream:
    """Implements `protocols.ChatUpstream`."""

    dialect: str = DIALECT

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        body = RequestWriter(conversation, deployment, losses).body()
        return UpstreamRequest(path=_CHAT, body=encode_document(body))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return _relayed_request(call, deployment)

    def decode(self, body: bytes, deployment: Deployment) -> Response:  # noqa: ARG002 - required by the protocol
        return decode_response(body)

    def stream(self, deployment: Deployment) -> LineDecoder:  # noqa: ARG002
        return LineDecoder()

    def splitter(self) -> LineSplitter:
        return LineSplitter()

    decode_error = staticmethod(upstream_errors.decode_error)


class _Vectors(Struct):
    embeddings: list[msgspec.Raw] | None = None
    embedding: list[float] | None = None
    model: str | None = None
    prompt_eval_count: Any = None
    error: Any = None


_decode_vectors: Final = msgspec.json.Decoder(_Vectors)
_vector_decoder: Final = msgspec.json.Decoder(list[float])
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KNOWN: Final = frozenset(_Vectors.__struct_fields__)


class OllamaEmbeddings:
    """Implements `protocols.EmbeddingsUpstream`."""

    dialect: str = DIALECT

    def encode(self, request: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        inputs: list[str] = []
        for text in request.inputs:
            if not isinstance(text, str):
                raise errors.UnsupportedFeature(
                    f"{deployment.name} (Ollama) does not support inputs that consist of token ids.",
                    param=losses.name_of("input"),
                )
            inputs.append(text)
        body: dict[str, Any] = {"model": deployment.upstream_model, "input": inputs}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        for field, value in (("task", request.task), ("title", request.title), ("user", request.user)):
            if value:
                losses.dropped(field)
        if request.dialect == DIALECT:
            for name, value in request.extras.items():
                if name.startswith(OPTION_PREFIX):
                    body.setdefault("options", {})[name.removeprefix(OPTION_PREFIX)] = value
                else:
                    body[name] = value
        return UpstreamRequest(path=_EMBED, body=encode_document(body))

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        return _relayed_request(call, deployment)

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse:  # noqa: ARG002
        """Decode the body of a 200 response of either endpoint."""
        check_size(body, counts_values=False)
        try:
            response = _decode_vectors.decode(body)
            members = _decode_members(body)
            extras = {name: msgspec.json.decode(value) for name, value in members.items() if name not in _KNOWN}
            vectors = (
                [decode_apart(_vector_decoder, vector) for vector in response.embeddings]
                if response.embeddings is not None
                else None
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(
                f"The upstream returned an invalid list of embeddings: {describe_json_error(error)}."
            ) from None
        if response.error:
            raise decode_error_in_200(body)
        if vectors is None:
            if response.embedding is None:
                raise errors.UpstreamMalformed("The upstream returned a list of embeddings without `embeddings`.")
            vectors = [response.embedding] if response.embedding else []
        tokens = response.prompt_eval_count
        return EmbeddingResponse(
            model=response.model or "",
            vectors=vectors,
            usage=None if tokens is None else Usage(input_tokens=as_int(tokens)),
            dialect=DIALECT,
            extras=extras,
        )

    decode_error = staticmethod(upstream_errors.decode_error)


UPSTREAM: Final = OllamaUpstream()
EMBEDDINGS_UPSTREAM: Final = OllamaEmbeddings()
