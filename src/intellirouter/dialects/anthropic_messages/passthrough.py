"""The passthrough of Anthropic's messages: like those of other dialects, but it reads many text events at once."""

from intellirouter.core import Deployment
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.routes.passthrough import ChatPassthrough


class MessagesPassthrough(ChatPassthrough):
    """`POST /v1/messages` with the dialect on both sides."""

    def decoder(self, deployment: Deployment) -> StreamDecoder:  # noqa: ARG002 - signatures are relayed unchanged
        return MessageStreamDecoder(joins_texts=True)
