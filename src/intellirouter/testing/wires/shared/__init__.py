"""What all wires share: the reply, how a protocol frames it and says errors, requests and forms.

Door: `Reply`, `Wire`, `Trouble`, `Refused`, the framings, `WireRequest`, `form_parts`.
"""

from intellirouter.testing.wires.shared.multipart import FormPart, form_parts
from intellirouter.testing.wires.shared.reply import (
    JSON_TYPE,
    SSE_TYPE,
    Framing,
    JsonLines,
    Refused,
    Reply,
    Sse,
    Trouble,
    Wire,
    pretty_json,
)
from intellirouter.testing.wires.shared.request import WireRequest, json_object

__all__ = [
    "JSON_TYPE",
    "SSE_TYPE",
    "FormPart",
    "Framing",
    "JsonLines",
    "Refused",
    "Reply",
    "Sse",
    "Trouble",
    "Wire",
    "WireRequest",
    "form_parts",
    "json_object",
    "pretty_json",
]
