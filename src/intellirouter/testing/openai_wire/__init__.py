"""The answers of an OpenAI-compatible vendor, made without I/O: the one source of MockVendor and FakeProvider.

Door: `answer` for the POST surfaces, `list_models` and `describe_model`, the magic model names, and the shapes
they return.
"""

from intellirouter.testing.openai_wire.answer import answer, describe_model, list_models
from intellirouter.testing.openai_wire.magic import FAKE_MODELS, FLAKY_FAULT, Magic, magic_of
from intellirouter.testing.openai_wire.reply import (
    DONE_EVENT,
    JSON_TYPE,
    Reply,
    VendorError,
    json_reply,
    model_not_found,
    not_found,
    pretty_json,
    sse_event,
)

__all__ = [
    "DONE_EVENT",
    "FAKE_MODELS",
    "FLAKY_FAULT",
    "JSON_TYPE",
    "Magic",
    "Reply",
    "VendorError",
    "answer",
    "describe_model",
    "json_reply",
    "list_models",
    "magic_of",
    "model_not_found",
    "not_found",
    "pretty_json",
    "sse_event",
]
