"""How the control plane describes itself in OpenAPI. The schemas' names are those of the whole program's document."""

from typing import Any

from fastapi.routing import APIRoute


def operation_id(route: APIRoute) -> str:
    """Return the id of a route's operation: the function's name in camel case."""
    first, *rest = route.name.split("_")
    return first + "".join(word.title() for word in rest)


def answered(schema: str, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """Return what a route answers."""
    return {200: {"description": "The answer.", "content": {media_type: {"schema": _named(schema)}}}}


def asked(schema: str) -> dict[str, Any]:
    """Return what a route that reads its body itself is asked."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _named(schema)}}}}


def _named(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
