"""The functions that the store of responses needs: items of requests and responses, and changes of the state."""

from typing import Final

from intellirouter.core import Call
from intellirouter.dialects.openai_responses import client_request, history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient

_CLIENT: Final = ResponsesClient()

request_of = client_request.source_of
input_items = history.input_items
with_history = history.with_history
without_background = history.without_background
output_items = history.output_items
with_id = lifecycle.with_id
cancelled = lifecycle.cancelled
failed = lifecycle.failed
id_of = lifecycle.id_of
status_of = lifecycle.status_of
is_background = lifecycle.is_background
final_response = history.final_response


def queued(call: Call) -> tuple[str, bytes]:
    """Return the id of a new response, and its object with the status `queued`."""
    return lifecycle.queued(_CLIENT, call)
