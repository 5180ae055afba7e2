"""The handshake of a realtime session: decoding the client's, and encoding the upstream's."""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlencode

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, RequestContext, UpstreamRequest, errors
from intellirouter.dialects.openai import upstream_errors
from intellirouter.dialects.openai_realtime.named_models import SessionModels
from intellirouter.dialects.openai_realtime.session import RealtimeSession
from intellirouter.dialects.wire.request_validation import check_model

HEADERS: Final = frozenset({b"openai-beta", b"openai-safety-identifier"})
"""The client's headers that are sent to the upstream. `openai-beta: realtime=v1` selects the beta protocol."""


_MODEL_PARAMETERS: Final = frozenset({"model", "deployment"})
"""The parameters of the query that name a model. Azure has both."""


class RealtimePassthrough:
    """Decodes handshakes, and is the route of the sessions that they open. A pure value."""

    dialect = "openai_chat"

    def decode_request(self, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> Call:
        """Read the model from the path. Raises `InvalidRequest`."""
        if not context.model:
            raise errors.InvalidRequest(
                "You must provide a model parameter.",
                code="missing_required_parameter",
                param="model",
                hint="Open the session at /v1/realtime?model=NAME.",
            )
        check_model(context.model)
        return Call(
            operation="realtime", model=context.model, body=body, context=context, is_stream=True, wants_usage=True
        )

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the handshake, with the client's query and the upstream's model."""
        sent = parse_qsl(call.context.query, keep_blank_values=True)
        rest = [pair for pair in sent if pair[0] not in _MODEL_PARAMETERS]
        query = urlencode([("model", deployment.upstream_model), *rest])
        return UpstreamRequest(method="GET", path=f"/realtime?{query}", headers=call.context.headers)

    def session(self, call: Call, deployment: Deployment, may_use: Callable[[str], bool]) -> RealtimeSession:
        is_transcription = ("intent", "transcription") in parse_qsl(call.context.query)
        return RealtimeSession(
            SessionModels(
                requested=call.model,
                upstream=deployment.upstream_model,
                provider=deployment.provider,
                may_use=may_use,
            ),
            names_requested_model=call.names_requested_model,
            counts_transcriptions=is_transcription,
        )

    decode_error = staticmethod(upstream_errors.decode_error)
    """For a refused handshake, and for the status that `RealtimeSession.refusal` returns."""


REALTIME: Final = RealtimePassthrough()
