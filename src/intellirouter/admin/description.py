"""OpenAPI metadata of the control plane's routes. Schemas are referred to by their names in the whole document."""

from typing import Any

from fastapi.routing import APIRoute


def operation_id(route: APIRoute) -> str:
    """Return the operation id of a route: the name of its function in camel case."""
    first, *rest = route.name.split("_")
    return first + "".join(word.title() for word in rest)


def json_response(schema: str, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """Return the description of a successful response."""
    return {200: {"description": "The response.", "content": {media_type: {"schema": _reference(schema)}}}}


def json_body(schema: str) -> dict[str, Any]:
    """Return the description of the body of a route that reads the body itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _reference(schema)}}}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
