"""The answers of an OpenAI-compatible vendor, made without I/O: the one source of MockVendor and FakeProvider.

Door: `OpenAiApi`, `AzureApi`, `answer` for chat and embeddings alone, and OpenAI's envelope.
"""

from intellirouter.testing.wires.openai.answer import answer, describe_model, list_models
from intellirouter.testing.wires.openai.api import OpenAiApi
from intellirouter.testing.wires.openai.azure import AzureApi
from intellirouter.testing.wires.openai.realtime import PATHS as REALTIME_PATHS
from intellirouter.testing.wires.openai.realtime import open_session
from intellirouter.testing.wires.openai.reply import (
    DONE_EVENT,
    VendorError,
    json_reply,
    model_not_found,
    not_found,
    sse_event,
)

__all__ = [
    "DONE_EVENT",
    "REALTIME_PATHS",
    "AzureApi",
    "OpenAiApi",
    "VendorError",
    "answer",
    "describe_model",
    "json_reply",
    "list_models",
    "model_not_found",
    "not_found",
    "open_session",
    "sse_event",
]
