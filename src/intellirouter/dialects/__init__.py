"""Wire codecs: pure, no I/O. Bytes of a dialect become values, values become bytes of a dialect.

Door: `SURFACES` (what an endpoint speaks), the `Surface`, `Lane`, `StreamRelay` and `Answer` shapes, error rendering,
SSE, forms, JSON bounds. A codec knows nothing of providers, keys or deployments beyond what it is handed: DESIGN.md.
"""

from intellirouter.dialects import catalogue, ollama_catalogue, responses_history
from intellirouter.dialects.bedrock import event_stream
from intellirouter.dialects.catalogue import ModelEntry
from intellirouter.dialects.fan_out import frame
from intellirouter.dialects.lane import (
    Answer,
    ErrorStyle,
    Lane,
    MediaNeeded,
    SessionLane,
    SessionRelay,
    StreamRelay,
    Surface,
)
from intellirouter.dialects.limits import check_depth
from intellirouter.dialects.openai_errors import encode_error, encode_error_event
from intellirouter.dialects.openai_media import Form, FormPart, read_form
from intellirouter.dialects.registry import SURFACES
from intellirouter.dialects.sse import SseEvent, SseParser
from intellirouter.dialects.validation import decode_body

__all__ = [
    "SURFACES",
    "Answer",
    "ErrorStyle",
    "Form",
    "FormPart",
    "Lane",
    "MediaNeeded",
    "ModelEntry",
    "SessionLane",
    "SessionRelay",
    "SseEvent",
    "SseParser",
    "StreamRelay",
    "Surface",
    "catalogue",
    "check_depth",
    "decode_body",
    "encode_error",
    "encode_error_event",
    "event_stream",
    "frame",
    "ollama_catalogue",
    "read_form",
    "responses_history",
]
