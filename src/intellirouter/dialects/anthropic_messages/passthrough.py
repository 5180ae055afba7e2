"""The passthrough of Anthropic's messages: like those of other dialects, but it reads many text events at once."""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import Call, Deployment
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.protocols import Answer, StreamDecoder
from intellirouter.dialects.routes.passthrough import ChatPassthrough, RelayedStream
from intellirouter.dialects.wire.json_encode import encode_document

_MESSAGE_STOP: Final = b"event: message_stop"
_has_stop_reason: Final = re.compile(rb'"stop_reason"\s*:\s*"').search


class MessagesRelay(RelayedStream):
    """Relays a stream. A stop reason that the upstream has left out is put in before the last event."""

    def end(self) -> bytes:
        out = super().end()
        finish = self._decoder.implied_finish if isinstance(self._decoder, MessageStreamDecoder) else b""
        if not finish or self.error is not None:
            return out
        at = max(out.rfind(_MESSAGE_STOP), 0)
        return out[:at] + finish + out[at:]


class MessagesPassthrough(ChatPassthrough):
    """`POST /v1/messages` with the dialect on both sides."""

    stream_class = MessagesRelay

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        """Read an answer. A stop reason that the upstream has left out is put in, but not recorded."""
        answer = super().decode_response(body, call, deployment)
        if answer.body is not None or _has_stop_reason(body):
            return answer
        return msgspec.structs.replace(answer, body=_with_stop_reason(body), finish_reason=None)

    def decoder(self, deployment: Deployment) -> StreamDecoder:  # noqa: ARG002 - signatures are relayed unchanged
        return MessageStreamDecoder(joins_texts=True)


def _with_stop_reason(body: bytes) -> bytes:
    message: dict[str, Any] = msgspec.json.decode(body)
    if message.get("stop_reason") is None:
        has_calls = any(block.get("type") == "tool_use" for block in message.get("content") or ())
        message["stop_reason"] = "tool_use" if has_calls else "end_turn"
    return encode_document(message)
