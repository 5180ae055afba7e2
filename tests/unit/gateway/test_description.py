"""The OpenAPI document is valid and covers every path, and its page uses no other host."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest

from intellirouter.gateway import description
from intellirouter.gateway.paths import is_control
from tests.support.dialects.standard import ENDPOINTS_BY_PATH, STANDARD_DIALECTS

DOCUMENT: dict[str, Any] = json.loads(description.page("/openapi.json")[2])
OPERATIONS = [(path, method, of) for path, item in DOCUMENT["paths"].items() for method, of in item.items()]
IDS = [f"{method} {path}" for path, method, _ in OPERATIONS]


def references(value: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(value)))


@pytest.mark.parametrize("path", ENDPOINTS_BY_PATH)
def test_every_fixed_path_is_documented(path: str) -> None:
    assert "post" in DOCUMENT["paths"][path]


def test_operations_with_decision_headers_are_endpoints() -> None:
    decided = [path for path, _, of in OPERATIONS if "x-intellirouter-reason" in of["responses"]["200"]["headers"]]
    assert len(decided) == len(ENDPOINTS_BY_PATH) + 5
    for path in decided:
        assert path in ENDPOINTS_BY_PATH or STANDARD_DIALECTS.match(path.replace("{model}", "some/name")), path


def test_every_reference_resolves() -> None:
    for reference in references(DOCUMENT):
        at: Any = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            at = at[key]


def test_every_schema_is_valid_and_used() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}" in references(DOCUMENT), name


@pytest.mark.parametrize(("path", "method", "of"), OPERATIONS, ids=IDS)
def test_every_operation_is_complete(path: str, method: str, of: dict[str, Any]) -> None:
    assert method in {"get", "post", "delete"}
    assert of["summary"]
    assert of["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    named = {each["name"] for each in of.get("parameters", []) if each["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", path))
    assert {"200", "4XX"} <= set(of["responses"])
    assert of["responses"]["200"]["content"]
    assert ("requestBody" in of) <= (method == "post")


def test_operation_ids_are_unique() -> None:
    ids = [of["operationId"] for _, _, of in OPERATIONS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "example",
    [
        (of["operationId"], content)
        for _, _, of in OPERATIONS
        for content in of.get("requestBody", {}).get("content", {}).values()
    ],
    ids=lambda each: each[0],
)
def test_examples_match_their_schemas(example: tuple[str, dict[str, Any]]) -> None:
    content = example[1]
    if "example" in content:
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(content["example"])


@pytest.mark.parametrize("path", sorted(description.PATHS))
def test_data_plane_serves_every_page(path: str) -> None:
    assert not is_control(path, STANDARD_DIALECTS)
    status, content_type, body = description.page(path)
    assert (status, bool(body)) == (200, True)
    assert content_type.split(b";")[0] in {b"application/json", b"text/html", b"text/css", b"text/javascript"}


@pytest.mark.parametrize("path", sorted(path for path in description.PATHS if "docs" in path))
def test_docs_page_refers_to_no_other_host(path: str) -> None:
    body = description.page(path)[2].decode()
    # The SVG namespace is not fetched.
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", body.replace("http://www.w3.org/2000/svg", ""))
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son[a-z]+=\"|javascript:", body)
    assert not re.search(r"""["'`(=]/[a-z]""", body), "A path from the root would not work below a path prefix."
    loaded = [urljoin(path, url) for url in re.findall(r' (?:src|href)="([^#:"]+)"', body)]
    assert set(loaded) <= description.PATHS
    assert len(loaded) == (4 if path.rstrip("/") == "/api/docs" else 0)


@pytest.mark.parametrize("path", ["/openapi.json", "/api/openapi.json"])
@pytest.mark.parametrize("prefix", ["", "/ai"])
def test_server_in_the_document_is_where_the_document_comes_from(path: str, prefix: str) -> None:
    (server,) = json.loads(description.page(path)[2])["servers"]
    assert urljoin(f"https://gateway.example{prefix}{path}", server["url"]) == f"https://gateway.example{prefix}/"


def test_content_security_policy_is_strict() -> None:
    policy = dict(description.HEADERS)[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "*" not in policy
