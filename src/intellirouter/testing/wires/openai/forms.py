"""Forms with files, as OpenAI's API accepts them."""

from typing import Any

from intellirouter.fake.openai.replies import OpenAiError
from intellirouter.testing.wires.shared.multipart import FormPart, form_parts
from intellirouter.testing.wires.shared.request import WireRequest


def form_of(request: WireRequest) -> list[FormPart]:
    """Return the parts of the form in the body. Raises `OpenAiError` (400) if it is not a valid form."""
    parts = form_parts(request.headers.get("content-type", ""), request.body)
    if parts is None:
        raise OpenAiError(
            400,
            "Could not parse multipart form. The body must be multipart/form-data, with the boundary that its "
            "content-type names.",
        )
    return parts


def text_in(parts: list[FormPart]) -> dict[str, Any]:
    """Return the fields that are not files."""
    return {part.name: part.text for part in parts if part.filename is None}


def files_in(parts: list[FormPart], name: str) -> list[FormPart]:
    """Return the files of a field, sent as `name`, `name[]` or `name[0]`."""
    return [part for part in parts if part.filename is not None and part.name.partition("[")[0] == name]
