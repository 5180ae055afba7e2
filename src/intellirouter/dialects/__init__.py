"""Wire codecs, which convert between the bytes of a dialect and values. Pure: no I/O.

Door: `DIALECTS`, and `build_dialects`, which builds `Dialects` from them: the endpoints that clients call, by name and
by path. The types `Endpoint`, `Route`, `StreamRelay` and `Answer`; error rendering, SSE, forms, bounds on JSON. Of
providers, keys and deployments, a codec knows only what is passed to it. See DESIGN.md.
"""

from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.adapt.choices import frame
from intellirouter.dialects.adapt.stream_record import ContinuableRelay
from intellirouter.dialects.answer_texts import answer_text
from intellirouter.dialects.bedrock import event_stream
from intellirouter.dialects.endpoint import Endpoint, StreamContinuer
from intellirouter.dialects.error_causes import CONTEXT_LENGTH
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    Response,
    Stop,
    StreamEnded,
    Text,
    collect,
    events_of,
)
from intellirouter.dialects.ir.last_turn import LastTurn, last_turn_of
from intellirouter.dialects.keep_alive import KeepAlive, is_sse
from intellirouter.dialects.model_list import (
    ModelEntry,
    anthropic_list,
    anthropic_model,
    gemini_list,
    gemini_model,
    openai_list,
    openai_model,
)
from intellirouter.dialects.ollama import model_pages as ollama_models
from intellirouter.dialects.openai.client_errors import encode_error, encode_error_event
from intellirouter.dialects.openai_media import Form, FormPart, read_form
from intellirouter.dialects.openai_responses import storage as responses_storage
from intellirouter.dialects.prompt_start import PromptStart, prompt_start_of
from intellirouter.dialects.protocols import (
    Answer,
    ChatClient,
    ChatUpstream,
    ErrorStyle,
    MessageRefused,
    Route,
    SessionRelay,
    SessionRoute,
    StreamRelay,
)
from intellirouter.dialects.registry import (
    DIALECTS,
    Dialects,
    build_dialects,
)
from intellirouter.dialects.shortening import Shortened, shortened
from intellirouter.dialects.spec import DialectSpec
from intellirouter.dialects.vendor_ids import (
    NO_IDS,
    VendorIds,
    created_in,
    ids_in_request,
    ids_in_response,
    may_create_ids,
    may_have_ids,
)
from intellirouter.dialects.wire.answer_estimate import estimate_answer_tokens
from intellirouter.dialects.wire.duplicates import check_unique
from intellirouter.dialects.wire.json_depth import check_depth
from intellirouter.dialects.wire.json_limits import check_json
from intellirouter.dialects.wire.request_validation import decode_body
from intellirouter.dialects.wire.sse import SseEvent, SseParser

__all__ = [
    "CONTEXT_LENGTH",
    "DIALECTS",
    "NO_IDS",
    "Answer",
    "ChatClient",
    "ChatUpstream",
    "Choice",
    "ChoiceFinished",
    "ContinuableRelay",
    "Conversation",
    "DialectSpec",
    "Dialects",
    "Endpoint",
    "ErrorStyle",
    "Event",
    "Form",
    "FormPart",
    "KeepAlive",
    "LastTurn",
    "MessageRefused",
    "ModelEntry",
    "PromptStart",
    "Response",
    "Route",
    "SessionRelay",
    "SessionRoute",
    "Shortened",
    "SseEvent",
    "SseParser",
    "Stop",
    "StreamContinuer",
    "StreamEnded",
    "StreamRelay",
    "Text",
    "VendorIds",
    "answer_text",
    "anthropic_list",
    "anthropic_model",
    "build_dialects",
    "check_depth",
    "check_json",
    "check_unique",
    "collect",
    "created_in",
    "decode_body",
    "describe_json_error",
    "encode_error",
    "encode_error_event",
    "estimate_answer_tokens",
    "event_stream",
    "events_of",
    "frame",
    "gemini_list",
    "gemini_model",
    "ids_in_request",
    "ids_in_response",
    "is_sse",
    "last_turn_of",
    "may_create_ids",
    "may_have_ids",
    "ollama_models",
    "openai_list",
    "openai_model",
    "prompt_start_of",
    "read_form",
    "responses_storage",
    "shortened",
]
