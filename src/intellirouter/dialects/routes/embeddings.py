"""The route of embeddings between a client and an upstream of different dialects."""

from collections.abc import Sequence

from msgspec import structs

from intellirouter.core import Call, Clock, Deployment, LossReport, UpstreamRequest, errors
from intellirouter.dialects.calls import embedding_request_of
from intellirouter.dialects.ir import EmbeddingRequest
from intellirouter.dialects.protocols import Answer, EmbeddingsClient, EmbeddingsUpstream, Route, StreamRelay


class EmbeddingsTranslation(Route):
    """A client of one dialect over an upstream of another."""

    is_local = False

    def __init__(self, client: EmbeddingsClient, upstream: EmbeddingsUpstream) -> None:
        self._client = client
        self._upstream = upstream

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        ask = self._ask(call)
        losses = LossReport(self._client.field_names)
        request = self._upstream.encode(ask, deployment, losses)
        for name in ask.extras:
            losses.dropped(name)
        return structs.replace(request, losses=losses.taken())

    def _ask(self, call: Call) -> EmbeddingRequest:
        return embedding_request_of(call, self._client.decode)

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        answer = self._upstream.decode(body, deployment)
        asked = len(self._ask(call).inputs)
        if len(answer.vectors) != asked:
            raise errors.UpstreamMalformed(
                f"The upstream's answer has {len(answer.vectors)} vectors for {asked} inputs."
            )
        losses = LossReport()
        return Answer(answer.usage, None, self._client.encode(answer, call, losses), losses.taken())

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay:  # noqa: ARG002 - there is none
        raise errors.InvalidRequest(f"{call.model}: embeddings are not streamed.", param="stream")

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        return self._upstream.decode_error(status, headers, body, deployment=deployment, clock=clock)
