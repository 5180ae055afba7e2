"""What the endpoints of OpenAI's API have in common: JSON bodies, models, pages of lists."""

from typing import Any, Final

from intellirouter.fake.openai.fields import decode_body, read_model
from intellirouter.fake.openai.replies import OpenAiError
from intellirouter.testing.wires.shared.request import WireRequest

MAX_PAGE: Final = 100


def body_of(request: WireRequest) -> dict[str, Any]:
    return decode_body(request.body)


def model_of(request: WireRequest, document: dict[str, Any]) -> str:
    """Like `read_model`, and record the model so that faults can match it."""
    model = request.deployment or document.get("model")
    request.model = model if isinstance(model, str) else None
    return read_model({"model": model})


def page_of(entries: list[dict[str, Any]], request: WireRequest, *, default_order: str = "asc") -> dict[str, Any]:
    """Return a page as a list object, as `order`, `after` and `limit` of the query request it."""
    query = request.query
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        raise OpenAiError(400, f"Invalid 'limit': expected an integer between 1 and {MAX_PAGE}.", param="limit")
    ordered = entries if query.get("order", default_order) == "asc" else entries[::-1]
    ids = [entry["id"] for entry in ordered]
    after = query.get("after")
    left = ordered[ids.index(after) + 1 :] if after in ids else ordered
    shown = left[: int(limit)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shown) < len(left),
    }
