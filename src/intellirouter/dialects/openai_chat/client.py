"""The client side: `POST /v1/chat/completions`."""

from typing import Final

from intellirouter.core import Call, LossReport
from intellirouter.dialects.ir import Conversation, Response
from intellirouter.dialects.openai_chat.client_request import decode_conversation
from intellirouter.dialects.openai_chat.client_response import encode_response
from intellirouter.dialects.openai_chat.client_stream import ChatStreamEncoder
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.quirks import FIELD_NAMES
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.protocols import StreamEncoder

_PASSTHROUGH: Final = OpenAIChatPassthrough()


class ChatClient:
    """Clients of `POST /chat/completions`. Implements `protocols.ChatClient`."""

    dialect = DIALECT
    field_names: dict[str, str] = FIELD_NAMES

    decode_request = staticmethod(_PASSTHROUGH.decode_request)

    def decode(self, call: Call) -> Conversation:
        return decode_conversation(call)

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        return encode_response(response, call, losses)

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder:
        return ChatStreamEncoder(call, losses)
