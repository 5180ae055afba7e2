"""`/v1/responses` and the paths below it: create, continue, retrieve, cancel and delete responses."""

from collections import OrderedDict
from typing import Any, Final

from msgspec import Struct

from intellirouter.fake.models import ECHO, find_behavior
from intellirouter.fake.openai.replies import OpenAiError, model_not_found, not_allowed
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.openai.requests import body_of, model_of, page_of
from intellirouter.testing.wires.openai.responses_items import Item
from intellirouter.testing.wires.openai.responses_render import (
    Document,
    events_of,
    responses_reply,
    stream_reply,
    whole_reply,
)
from intellirouter.testing.wires.openai.responses_request import ResponsesRequest, parse_responses
from intellirouter.testing.wires.shared.request import WireRequest

MAX_STORED: Final = 1000
POLLS: Final = 2
"""How many times a background response can be retrieved before it is complete."""
_ROOT: Final = "/responses"


class _StoredResponse(Struct):
    response: Document
    request: ResponsesRequest
    polls_left: int = 0

    def current(self) -> Document:
        """Return the response in its current state."""
        if not self.polls_left or self.response["status"] == "cancelled":
            return self.response
        status = "queued" if self.polls_left == POLLS else "in_progress"
        return {**self.response, "status": status, "output": [], "usage": None, "completed_at": None}


class Responses:
    """Part of OpenAI's API, with its stored objects."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, _StoredResponse] = OrderedDict()

    def clear(self) -> None:
        self._stored.clear()

    def answer(self, request: WireRequest, path: str) -> Reply | None:
        if path != _ROOT and not path.startswith(f"{_ROOT}/"):
            return None
        _, _, below = path.removeprefix("/").partition("/")
        name, _, what = below.partition("/")
        match request.method, name, what:
            case "POST", "", "":
                return self._create(request)
            case "POST", "input_tokens", "":
                return self._count(request)
            case "GET", _, "" if name:
                return self._get(request, name)
            case "DELETE", _, "" if name:
                self._find(name)
                del self._stored[name]
                return whole_reply({"id": name, "object": "response", "deleted": True})
            case "POST", _, "cancel":
                return self._cancel(name)
            case "GET", _, "input_items":
                return whole_reply(page_of(self._find(name).request.items, request, default_order="desc"))
        raise not_allowed(request.method, request.path)

    def _create(self, request: WireRequest) -> Reply:
        parsed = self._parse(request)
        behavior = find_behavior(parsed.model) or ECHO
        if behavior.is_embedding_only:
            raise model_not_found(parsed.model)
        completion = plan_completion(parsed, behavior, created_s=request.created_s)
        response, reply = responses_reply(parsed, completion)
        stored = _StoredResponse(response, parsed)
        if parsed.is_background and not parsed.is_stream:
            stored.polls_left = POLLS
            reply = whole_reply(stored.current())
        if parsed.is_stored:
            self._stored[response["id"]] = stored
            if len(self._stored) > MAX_STORED:
                self._stored.popitem(last=False)
        return reply

    def _parse(self, request: WireRequest) -> ResponsesRequest:
        document = body_of(request)
        model = model_of(request, document)
        return parse_responses(model, self._resolve_references(document), self._earlier_items(document))

    def _earlier_items(self, document: dict[str, Any]) -> list[Item]:
        name = document.get("previous_response_id")
        if name is None:
            return []
        stored = self._stored.get(name) if isinstance(name, str) else None
        if stored is None:
            raise OpenAiError(
                400,
                f"Previous response with id '{name}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return [*stored.request.items, *stored.response["output"]]

    def _resolve_references(self, document: dict[str, Any]) -> dict[str, Any]:
        """Replace references to items by the items."""
        items = document.get("input")
        if not isinstance(items, list) or not any(_is_reference(item) for item in items):
            return document
        known = {item["id"]: item for stored in self._stored.values() for item in stored.response["output"]}
        for item in items:
            if _is_reference(item) and item.get("id") not in known:
                raise OpenAiError(404, f"Item with id '{item.get('id')}' not found.", param="input")
        return {**document, "input": [known[item["id"]] if _is_reference(item) else item for item in items]}

    def _count(self, request: WireRequest) -> Reply:
        parsed = self._parse(request)
        return whole_reply({"object": "response.input_tokens", "input_tokens": parsed.prompt_tokens})

    def _find(self, name: str) -> _StoredResponse:
        stored = self._stored.get(name)
        if stored is None:
            raise OpenAiError(404, f"Response with id '{name}' not found.")
        return stored

    def _get(self, request: WireRequest, name: str) -> Reply:
        stored = self._find(name)
        if request.query.get("stream") == "true":
            after = request.query.get("starting_after", "-1")
            first = int(after) + 1 if after.lstrip("-").isdecimal() else 0
            return stream_reply(events_of(stored.request, stored.response)[first:])
        stored.polls_left = max(stored.polls_left - 1, 0)
        return whole_reply(stored.current())

    def _cancel(self, name: str) -> Reply:
        stored = self._find(name)
        if not stored.request.is_background:
            raise OpenAiError(400, "Cannot cancel a synchronous response.")
        if stored.polls_left:
            stored.response = {**stored.current(), "status": "cancelled"}
            stored.polls_left = 0
        return whole_reply(stored.response)


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"
