"""What every request of OpenAI's API has in common: a JSON body, a model, pages."""

from typing import Any, Final

from intellirouter.testing.wires.openai.reply import VendorError, model_not_found
from intellirouter.testing.wires.shared import WireRequest, json_object

MAX_PAGE: Final = 100


def decoded(body: bytes) -> dict[str, Any]:
    """Return the body's object. Raises `VendorError` (400)."""
    request = json_object(body)
    if request is None:
        raise VendorError(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
            "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    return request


def body_of(request: WireRequest) -> dict[str, Any]:
    return decoded(request.body)


def named_model(document: dict[str, Any]) -> str:
    """Return the model. Raises `VendorError` where there is none, or none of that name."""
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise VendorError(400, "you must provide a model parameter")
    if model.startswith("no-such-"):
        raise model_not_found(model)
    return model


def model_of(request: WireRequest, document: dict[str, Any]) -> str:
    """As `named_model`, and note it down for faults."""
    model = request.deployment or document.get("model")
    request.model = model if isinstance(model, str) else None
    return named_model({"model": model})


def page_of(entries: list[dict[str, Any]], request: WireRequest, *, default_order: str = "asc") -> dict[str, Any]:
    """Return a list object: `order`, `after` and `limit` of the query are obeyed."""
    query = request.query
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        raise VendorError(400, f"Invalid 'limit': expected an integer between 1 and {MAX_PAGE}.", param="limit")
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
