"""The text of an answer that a client was sent, read with the codec for upstreams of the same dialect. Pure."""

from intellirouter.core import Deployment, errors
from intellirouter.dialects.ir.collect import collect
from intellirouter.dialects.ir.parts import Reasoning, Refusal, Text
from intellirouter.dialects.protocols import ChatUpstream


def answer_text(codec: ChatUpstream, body: bytes, deployment: Deployment, *, is_stream: bool) -> str | None:
    """Return the text of a complete answer or of all bytes of a stream, without its reasoning.

    None if it is not one choice that consists of text.
    """
    try:
        if is_stream:
            decoder = codec.stream(deployment)
            response = collect([*decoder.feed(body), *decoder.end()])
        else:
            response = codec.decode(body, deployment)
    except errors.GatewayError:
        return None
    if len(response.choices) != 1:
        return None
    parts = [part for part in response.choices[0].parts if not isinstance(part, Reasoning)]
    if not all(isinstance(part, Text | Refusal) for part in parts):
        return None
    return "\n".join([part.text for part in parts if isinstance(part, Text | Refusal)])
