"""`/v1/responses` and what is below it: answers are kept, followed, polled, cancelled and forgotten."""

from collections import OrderedDict
from typing import Any, Final

from msgspec import Struct

from intellirouter.fake.models import ECHO, find_magic_model
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

MAX_KEPT: Final = 1000
POLLS: Final = 2
"""How often a background response is looked at before it is complete."""
_ROOT: Final = "/responses"


class _Kept(Struct):
    response: Document
    ask: ResponsesRequest
    polls_left: int = 0

    def now(self) -> Document:
        """Return the response as it is by now."""
        if not self.polls_left or self.response["status"] == "cancelled":
            return self.response
        status = "queued" if self.polls_left == POLLS else "in_progress"
        return {**self.response, "status": status, "output": [], "usage": None, "completed_at": None}


class Responses:
    """Part of OpenAI's API."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def clear(self) -> None:
        self._kept.clear()

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
                del self._kept[name]
                return whole_reply({"id": name, "object": "response", "deleted": True})
            case "POST", _, "cancel":
                return self._cancel(name)
            case "GET", _, "input_items":
                return whole_reply(page_of(self._find(name).ask.items, request, default_order="desc"))
        raise not_allowed(request.method, request.path)

    def _create(self, request: WireRequest) -> Reply:
        ask = self._ask(request)
        magic = find_magic_model(ask.model) or ECHO
        if magic.is_embedding_only:
            raise model_not_found(ask.model)
        completion = plan_completion(ask, magic, created_s=request.created_s)
        response, reply = responses_reply(ask, completion)
        kept = _Kept(response, ask)
        if ask.is_background and not ask.is_stream:
            kept.polls_left = POLLS
            reply = whole_reply(kept.now())
        if ask.is_stored:
            self._kept[response["id"]] = kept
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return reply

    def _ask(self, request: WireRequest) -> ResponsesRequest:
        document = body_of(request)
        model = model_of(request, document)
        return parse_responses(model, self._resolved(document), self._earlier(document))

    def _earlier(self, document: dict[str, Any]) -> list[Item]:
        name = document.get("previous_response_id")
        if name is None:
            return []
        kept = self._kept.get(name) if isinstance(name, str) else None
        if kept is None:
            raise OpenAiError(
                400,
                f"Previous response with id '{name}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return [*kept.ask.items, *kept.response["output"]]

    def _resolved(self, document: dict[str, Any]) -> dict[str, Any]:
        """Put the items in the place of references to them."""
        items = document.get("input")
        if not isinstance(items, list) or not any(_is_reference(item) for item in items):
            return document
        known = {item["id"]: item for kept in self._kept.values() for item in kept.response["output"]}
        for item in items:
            if _is_reference(item) and item.get("id") not in known:
                raise OpenAiError(404, f"Item with id '{item.get('id')}' not found.", param="input")
        return {**document, "input": [known[item["id"]] if _is_reference(item) else item for item in items]}

    def _count(self, request: WireRequest) -> Reply:
        ask = self._ask(request)
        return whole_reply({"object": "response.input_tokens", "input_tokens": ask.prompt_tokens})

    def _find(self, name: str) -> _Kept:
        kept = self._kept.get(name)
        if kept is None:
            raise OpenAiError(404, f"Response with id '{name}' not found.")
        return kept

    def _get(self, request: WireRequest, name: str) -> Reply:
        kept = self._find(name)
        if request.query.get("stream") == "true":
            after = request.query.get("starting_after", "-1")
            first = int(after) + 1 if after.lstrip("-").isdecimal() else 0
            return stream_reply(events_of(kept.ask, kept.response)[first:])
        kept.polls_left = max(kept.polls_left - 1, 0)
        return whole_reply(kept.now())

    def _cancel(self, name: str) -> Reply:
        kept = self._find(name)
        if not kept.ask.is_background:
            raise OpenAiError(400, "Cannot cancel a synchronous response.")
        if kept.polls_left:
            kept.response = {**kept.now(), "status": "cancelled"}
            kept.polls_left = 0
        return whole_reply(kept.response)


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"
