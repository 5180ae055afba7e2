"""The upstream side: OpenAI's API and compatible servers. Source: OpenAI API reference, "Create embeddings"."""

from typing import Any, Final

from intellirouter.core import Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.ir import EmbeddingRequest, EmbeddingResponse
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_embeddings.upstream_response import decode_response
from intellirouter.dialects.openai_embeddings.wire import DIALECT
from intellirouter.dialects.wire.json_encode import encode_document

_PATH: Final = "/embeddings"


class EmbeddingsUpstream:
    """OpenAI and other upstreams of its dialect. Implements `protocols.EmbeddingsUpstream`."""

    dialect = DIALECT

    def encode(self, request: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        refuses = deployment.quirks.refuses
        is_single = request.is_single and isinstance(request.inputs[0], str)
        inputs = request.inputs[0] if is_single else request.inputs
        body: dict[str, Any] = {"model": deployment.upstream_model, "input": inputs}
        if request.dimensions is not None:
            if "dimensions" in refuses:
                raise errors.UnsupportedFeature(
                    f"{deployment.name} ({deployment.vendor}) does not support `dimensions`.",
                    param=losses.name_of("dimensions"),
                )
            body["dimensions"] = request.dimensions
        if request.user and "user" not in refuses:
            body["user"] = request.user
        elif request.user:
            losses.dropped("user")
        for name in ("task", "title"):
            if getattr(request, name):
                losses.dropped(name)
        # All upstreams return numbers by default. For clients that want base64, the gateway converts them.
        if request.dialect == DIALECT:
            body |= {name: value for name, value in request.extras.items() if name not in refuses}
        return UpstreamRequest(path=_PATH, body=encode_document(body))

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse:  # noqa: ARG002 - same for all
        return decode_response(body)

    decode_error = staticmethod(upstream_errors.decode_error)
