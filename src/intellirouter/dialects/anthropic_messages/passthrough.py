"""The passthrough of Anthropic's messages: like those of other dialects, but it reads many text events at once."""

from intellirouter.core import Deployment
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.routes.passthrough import ChatPassthrough, RelayedStream

_MESSAGE_STOP = b"event: message_stop"


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

    def decoder(self, deployment: Deployment) -> StreamDecoder:  # noqa: ARG002 - signatures are relayed unchanged
        return MessageStreamDecoder(joins_texts=True)
