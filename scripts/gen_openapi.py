"""Write the OpenAPI document of both planes from api/*.yaml and from the routes of the control plane.

    python -m scripts.gen_openapi            write src/intellirouter/gateway/data/openapi.json
    python -m scripts.gen_openapi --check    fail if that file is out of date

api/README.md describes the format of the sources.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

import intellirouter
from intellirouter.admin import ControlPlane, build_api
from intellirouter.core import ExchangeRecord
from intellirouter.hosting import WorkerView
from intellirouter.providers import CredentialState
from intellirouter.store import LogRow, StoreHealth
from scripts.generated_files import write_or_check

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ROOT / "api"
OUTPUT: Final = ROOT / "src" / "intellirouter" / "gateway" / "data" / "openapi.json"
STRUCTS: Final = (ExchangeRecord, LogRow, StoreHealth, WorkerView, CredentialState)
PRIMITIVES: Final = frozenset({"string", "integer", "number", "boolean", "object"})
SCHEMA_REF: Final = "#/components/schemas/"
PARAMETERS: Final = {
    "model": "A model name from `GET /v1/models`. Slashes need not be escaped.",
    "response_id": "The `id` of a stored response.",
    "file_id": "The `id` of a file.",
    "batch_id": "The `id` of a batch.",
    "request_id": "The `x-request-id` header of a response.",
}
Tree = dict[str, Any]


def schema(value: Any) -> Tree:
    """Return the JSON Schema of a schema in the short notation of the sources."""
    if isinstance(value, list):
        return {"type": "array", "items": schema(value[0])}
    if isinstance(value, str):
        return named(value)
    made: Tree = {}
    for key, inner in value.items():
        match key:
            case "members":
                made |= members(inner)
            case "anyOf" | "allOf" | "oneOf":
                made[key] = [schema(each) for each in inner]
            case "items" | "additionalProperties" if not isinstance(inner, bool):
                made[key] = schema(inner)
            case "type" if isinstance(inner, str):
                made |= {"type": inner.split("|") if "|" in inner else inner}
            case _:
                made[key] = inner
    return made


def named(value: str) -> Tree:
    if value.endswith("|null"):
        made = named(value.removesuffix("|null"))
        return {"anyOf": [made, {"type": "null"}]} if "$ref" in made else made | {"type": [made["type"], "null"]}
    if value.startswith("["):
        return {"type": "array", "items": named(value[1:-1])}
    if value == "any":
        return {}
    return {"type": value} if value in PRIMITIVES else {"$ref": SCHEMA_REF + value}


def members(short: Tree) -> Tree:
    made: Tree = {"type": "object", "properties": {name.rstrip("!"): schema(of) for name, of in short.items()}}
    if required := [name[:-1] for name in short if name.endswith("!")]:
        made["required"] = required
    return made


def operation(spec: Tree, path: str, family: Tree) -> Tree:
    """Return the operation of one endpoint."""
    made: Tree = {"operationId": spec["id"], "tags": [spec["tag"]], "summary": spec["summary"]}
    if "about" in spec:
        made["description"] = spec["about"]
    if parameters := list(parameters_of(spec, path)):
        made["parameters"] = parameters
    if "body" in spec:
        content = {"schema": schema(spec["body"])} | ({"example": spec["example"]} if "example" in spec else {})
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    if "form" in spec:
        made["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema(spec["form"])}}}
    if spec.get("open"):
        made["security"] = []
    answers = {kind: {"schema": schema(of)} for kind, of in spec["answers"].items()}
    headers = SHARED["decision_headers"] if spec.get("decided") else SHARED["headers"]
    made["responses"] = {"200": {"description": "The response.", "headers": headers, "content": answers}}
    for status, more in spec.get("more", {}).items():
        about = more.pop("about")
        content = {kind: {"schema": schema(of)} for kind, of in more.items()}
        made["responses"][str(status)] = {"description": about, "headers": SHARED["headers"], "content": content}
    kinds = ("4XX",) if spec.get("open") else SHARED["refusals"] if spec.get("decided") else ("401", "4XX", "5XX")
    envelope = spec.get("errors", family["errors"])
    made["responses"] |= {kind: {"$ref": f"#/components/responses/{envelope}.{kind}"} for kind in kinds}
    return made


def parameters_of(spec: Tree, path: str) -> Any:
    for name in re.findall(r"{(\w+)}", path):
        shape = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": shape}
    for place, key in (("query", "query"), ("header", "headers")):
        for name, of in spec.get(key, {}).items():
            about = {"description": of["about"]} if "about" in of else {}
            yield {"name": name, "in": place, **about, "schema": schema(of["schema"])}


def refusals(envelopes: list[str]) -> Tree:
    """Return the error responses: one per envelope and status."""
    return {
        f"{envelope}.{kind}": {
            "description": about,
            "headers": SHARED["headers"] | (SHARED["retry_headers"] if kind in {"429", "5XX"} else {}),
            "content": {"application/json": {"schema": named(envelope)}},
        }
        for envelope in envelopes
        for kind, about in SHARED["refusals"].items()
    }


def control_plane() -> Tree:
    """Return the paths of the control plane, with the errors and headers of this document."""
    nothing: Any = None
    known = dict.fromkeys(ControlPlane.__struct_fields__, nothing) | {"version": intellirouter.__version__}
    paths: Tree = build_api(ControlPlane(**known)).openapi()["paths"]
    for path in paths.values():
        for made in path.values():
            made.setdefault("tags", ["Control"])
            made.setdefault("security", [{"bearer": []}])
            made["responses"].pop("422", None)  # the control plane responds with 400 instead
            answer = made["responses"]["200"]
            answer["headers"] = SHARED["headers"]
            answer["content"] = {kind: {"schema": referred(of["schema"])} for kind, of in answer["content"].items()}
            kinds = ("4XX", "5XX") if not made["security"] else ("400", "401", "4XX", "5XX")
            made["responses"] |= {kind: {"$ref": f"#/components/responses/OpenAIError.{kind}"} for kind in kinds}
    return paths


def referred(value: Tree) -> Tree:
    """Return the reference without the type that the framework adds to it."""
    return {"$ref": value["$ref"]}


def struct_schemas() -> Tree:
    _, found = msgspec.json.schema_components(STRUCTS, ref_template=SCHEMA_REF + "{name}")
    return dict(found)


def document() -> Tree:
    families = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES]
    paths: Tree = {}
    schemas = struct_schemas()
    for family in families:
        for head, spec in family["endpoints"].items():
            method, path = head.split(" ")
            paths.setdefault(path, {})[method.lower()] = operation(spec, path, family)
        schemas |= {name: schema(of) for name, of in family["schemas"].items()}
    for path, made in control_plane().items():
        paths.setdefault(path, {}).update(made)
    head = SHARED["document"]
    head["info"]["version"] = intellirouter.__version__
    envelopes = [name for name in schemas if name.endswith("Error")]
    components = {
        "securitySchemes": SHARED["security_schemes"],
        "headers": SHARED["header_components"],
        "responses": refusals(envelopes),
        "schemas": dict(sorted(schemas.items())),
    }
    return {
        **head,
        "security": [{name: []} for name in SHARED["security_schemes"]],
        "paths": paths,
        "components": components,
    }


def render() -> str:
    """Return the document as JSON, with one path or schema per line."""
    whole = document()
    missing = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(whole))) - set(
        whole["components"]["schemas"]
    )
    if missing:
        raise SystemExit(f"Undefined schemas in api/*.yaml: {', '.join(sorted(missing))}.")
    whole["paths"] = {path: Line(of) for path, of in whole["paths"].items()}
    for part in whole["components"].values():
        part.update({name: Line(of) for name, of in part.items()})
    return written(whole) + "\n"


class Line(dict[str, Any]):
    """An object that is written on one line."""


def written(value: Any) -> str:
    if isinstance(value, dict) and not isinstance(value, Line):
        return "{" + ",".join(f"\n{json.dumps(key)}:{written(of)}" for key, of in value.items()) + "\n}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


FAMILIES: Final = ("openai", "batches", "anthropic", "gemini", "ollama", "gateway", "control")
FILES: Final = [SOURCES / f"{name}.yaml" for name in FAMILIES]
SHARED: Final[Tree] = yaml.safe_load((SOURCES / "shared.yaml").read_text(encoding="utf-8"))


def main() -> int:
    return write_or_check({OUTPUT: render()}, __doc__)


if __name__ == "__main__":
    sys.exit(main())
