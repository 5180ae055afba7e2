"""What a store of responses needs of their dialect: items in and out, and the states a response goes through."""

from typing import Final

from intellirouter.core import Call
from intellirouter.dialects.openai_responses import history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient

_CLIENT: Final = ResponsesClient()

input_items = history.input_items
with_history = history.with_history
in_foreground = history.in_foreground
output_items = history.output_items
renamed = lifecycle.renamed
cancelled = lifecycle.cancelled
failed = lifecycle.failed
id_of = lifecycle.id_of
status_of = lifecycle.status_of
is_background = lifecycle.is_background
final_response = history.final_response


def queued(call: Call) -> tuple[str, bytes]:
    """Return a new response's id, and the object as it stands before anything has happened."""
    return lifecycle.queued(_CLIENT, call)
