"""The ids and items of a relayed stream, for an encoder that may have to continue it."""

from typing import Any, Final

import msgspec

from intellirouter.dialects.wire.sse import event_data, split_events

_MARKS: Final = (b"response.created", b"response.output_item.", b"response.output_text.done")
"""The types of the events that matter."""
_MAX_ITEMS: Final = 1_000


class RelayedItems:
    """Reads relayed events. Most of them are only searched for the types that matter."""

    def __init__(self) -> None:
        self.response_id = ""
        self.items: dict[str, dict[str, Any] | None] = {}
        """The items by id, in order. None: the item is not complete."""
        self.has_complete_text = False
        """A text has ended, so that no more can be added to it."""

    def observe(self, block: bytes) -> None:
        """Read complete events."""
        if not any(mark in block for mark in _MARKS):
            return
        for event in split_events(block):
            if any(mark in event for mark in _MARKS):
                self._read(event_data(event) or b"null")

    def _read(self, data: bytes) -> None:
        try:
            document = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # the decoder of the stream reports it
        match document:
            case {"type": "response.created", "response": {"id": str(response_id)}}:
                self.response_id = response_id
            case {"type": "response.output_item.added", "item": {"id": str(item_id)}} if len(self.items) < _MAX_ITEMS:
                self.items.setdefault(item_id)
            case {"type": "response.output_item.done", "item": {"id": str(item_id)}} if item_id in self.items:
                self.items[item_id] = document["item"]
            case {"type": "response.output_text.done"}:
                self.has_complete_text = True
            case _:
                pass
