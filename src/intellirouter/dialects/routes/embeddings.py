"""The route for embeddings between a client and an upstream of different dialects."""

from collections.abc import Sequence

from msgspec import structs

from intellirouter.core import Call, Clock, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.calls import answer_model, embedding_request_of
from intellirouter.dialects.ir import EmbeddingRequest
from intellirouter.dialects.protocols import Answer, EmbeddingsClient, EmbeddingsUpstream, Route, StreamRelay


class EmbeddingsTranslation(Route):
    """Translates embeddings between a client of one dialect and an upstream of another."""

    is_local = False

    def __init__(self, client: EmbeddingsClient, upstream: EmbeddingsUpstream) -> None:
        self._client = client
        self._upstream = upstream

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        request = self._request(call)
        losses = LossReport(self._client.field_names)
        encoded = self._upstream.encode(request, deployment, losses)
        for name in request.extras:
            losses.dropped(name)
        return structs.replace(encoded, losses=losses.taken())

    def _request(self, call: Call) -> EmbeddingRequest:
        return embedding_request_of(call, self._client.decode)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        response = self._upstream.decode(body, deployment)
        expected = len(self._request(call).inputs)
        if len(response.vectors) != expected:
            raise errors.UpstreamMalformed(
                f"The upstream's response has {len(response.vectors)} vectors for {expected} inputs."
            )
        response.model = answer_model(response.model, call, deployment)
        losses = LossReport()
        return Answer(response.usage, None, self._client.encode(response, call, losses), losses.taken())

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002 - required by the protocol
        raise errors.InvalidRequest("Embeddings cannot be streamed.", param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)
