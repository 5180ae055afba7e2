"""The OpenAPI document matches the gateway: responses to generated requests, valid and invalid, are as documented."""

import copy
import json
import re
from typing import Any, Final
from urllib.parse import urljoin

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import APIOperation

from intellirouter.gateway import description
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until

DOCUMENT: Final[dict[str, Any]] = json.loads(description.page("/openapi.json")[2])
GATE_EXAMPLES: Final = 5
TIMEOUT_S: Final = 20
load_all_checks()
CHECKED: Final = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
RELAYED: Final = re.compile("/images/|/audio/|/moderations|/rerank")
"""Operations that the fake models do not support."""
ENDLESS: Final = "/api/v1/requests/tail"

SCHEMA = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
OPERATIONS: Final = {
    made.label: made for result in SCHEMA.get_all_operations() if (made := result.ok()).path != ENDLESS
}
OPTIONAL_HEADERS: Final = {"x-intellirouter-dropped", "x-intellirouter-cost-usd", "x-intellirouter-degraded"}
HEADERS: Final = {"authorization": f"Bearer {KEYS['admin']}"}


def served(label: str) -> str:
    """Return a model of the test gateway that supports the operation."""
    return "mock/any" if RELAYED.search(label) else "fake/echo"


def aim(case: Case) -> None:
    """Replace the generated model name by an existing one."""
    model = served(case.operation.label)
    if isinstance(case.body, dict) and "{model}" not in case.path and RELAYED.search(case.path):
        case.body["model"] = model  # without a model, the vendor's default would be used
    elif isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = model
    if "model" in case.path_parameters:
        case.path_parameters["model"] = model


def fewer(label: str) -> int:
    """The test suite runs a few examples; `make fuzz` (hypothesis profile `fuzz`) runs many."""
    asked = settings().max_examples
    return GATE_EXAMPLES if asked <= 100 else max(GATE_EXAMPLES, asked // len(OPERATIONS))


def can_be_wrong(operation: APIOperation) -> bool:
    """Return whether an operation has parameters or a body."""
    raw = operation.definition.raw
    return bool(raw.get("parameters") or raw.get("requestBody"))


CASES: Final = [(label, GenerationMode.POSITIVE) for label in OPERATIONS] + [
    (label, GenerationMode.NEGATIVE) for label, operation in OPERATIONS.items() if can_be_wrong(operation)
]


@pytest.mark.hypothesis
@pytest.mark.parametrize(("label", "mode"), CASES, ids=lambda each: getattr(each, "value", each))
def test_every_response_matches_the_document(gateway: GatewayProcess, label: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[label]
    with requests.Session() as session:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            settings(),
            max_examples=fewer(label),
            phases=[Phase.explicit, Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def look(case: Case) -> None:
            if mode is GenerationMode.POSITIVE:
                aim(case)
            answer = case.call(base_url=gateway.url, session=session, headers=HEADERS, timeout=TIMEOUT_S)
            case.validate_response(answer, checks=CHECKED)

        look()


def ask(gateway: GatewayProcess, label: str, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
    """Call an operation without parameters."""
    method, path = label.split(" ")
    path = re.sub(r"{\w+}", lambda each: served(label) if each[0] == "{model}" else "unknown", path)
    kind = {"content-type": "application/json"} if body is not None else {}
    data = None if body is None else json.dumps(body)
    said = HEADERS if headers is None else headers
    return requests.request(method, gateway.url + path, data=data, headers=kind | said, timeout=TIMEOUT_S)


def example_of(label: str) -> Any:
    content = OPERATIONS[label].definition.raw.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = content.get("example")
    return {**example, "model": served(label)} if example and "model" in example else example


EXAMPLES: Final = [label for label in OPERATIONS if example_of(label) is not None]
PLAIN: Final = [label for label in OPERATIONS if label.startswith("GET") and "{" not in label]


ANSWERED: Final = [label for label in EXAMPLES if label != "POST /v1/batches"]  # it needs a file


@pytest.mark.parametrize("label", [*ANSWERED, *PLAIN, "GET /v1/models/{model}", "GET /v1beta/models/{model}"])
def test_examples_are_answered_with_200(gateway: GatewayProcess, label: str) -> None:
    body = example_of(label)
    if RELAYED.search(label):
        body = {**body, "model": served(label)}
    answer = ask(gateway, label, body)
    assert answer.status_code == 200, answer.text
    OPERATIONS[label].validate_response(answer)
    declared = OPERATIONS[label].definition.raw["responses"]["200"]["headers"]
    assert set(declared) - set(answer.headers) <= OPTIONAL_HEADERS


class Visitor:
    """Calls one operation after the other. Asserts that each response matches the document."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, label: str, name: str = "", **content: Any) -> requests.Response:
        method, path = label.split(" ")
        path = re.sub(r"{\w+}", name, path)
        answer = requests.request(method, self._url + path, headers=HEADERS, timeout=TIMEOUT_S, **content)
        assert answer.status_code == 200, (label, answer.text)
        OPERATIONS[label].validate_response(answer)
        return answer


def test_stored_objects_match_the_document(gateway: GatewayProcess) -> None:
    visit = Visitor(gateway.url)
    response = visit("POST /v1/responses", json={"model": "fake/echo", "input": "remember"}).json()["id"]
    visit("GET /v1/responses/{response_id}", response)
    assert visit("GET /v1/responses/{response_id}/input_items", response).json()["data"]
    visit("DELETE /v1/responses/{response_id}", response)
    later = visit("POST /v1/responses", json={"model": "fake/echo", "input": "later", "background": True}).json()["id"]
    visit("POST /v1/responses/{response_id}/cancel", later)
    line = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "fake/echo", "input": "x"}}
    file = visit("POST /v1/files", data={"purpose": "batch"}, files={"file": ("b.jsonl", json.dumps(line))}).json()[
        "id"
    ]
    visit("GET /v1/files/{file_id}", file)
    assert visit("GET /v1/files").json()["data"]
    assert visit("GET /v1/files/{file_id}/content", file).json() == line
    asked = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    batch = visit("POST /v1/batches", json=asked).json()["id"]
    done = until(
        lambda: (found := visit("GET /v1/batches/{batch_id}", batch).json())["output_file_id"] and found, "done"
    )
    assert done["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    assert visit("GET /v1/batches").json()["data"]
    visit("DELETE /v1/files/{file_id}", file)
    request = visit("GET /api/v1/requests").json()["requests"][0]["request_id"]
    assert visit("GET /api/v1/requests/{request_id}", request).json()["request_id"] == request


@pytest.mark.parametrize("label", EXAMPLES)
def test_missing_required_members_are_rejected(gateway: GatewayProcess, label: str) -> None:
    schema = OPERATIONS[label].definition.raw["requestBody"]["content"]["application/json"]["schema"]
    required = resolved(schema).get("required", [])
    for name in required:
        body = {key: value for key, value in example_of(label).items() if key != name}
        answer = ask(gateway, label, body)
        assert answer.status_code == 400, (name, answer.text)
        OPERATIONS[label].validate_response(answer)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name] if name else schema
    return found


@pytest.mark.parametrize("label", OPERATIONS)
def test_keys_are_required_as_documented(gateway: GatewayProcess, label: str) -> None:
    is_open = OPERATIONS[label].definition.raw.get("security") == []
    answer = ask(gateway, label, example_of(label), headers={})
    assert (answer.status_code == 401) is not is_open, answer.text
    OPERATIONS[label].validate_response(answer)


@pytest.mark.parametrize("scheme", DOCUMENT["components"]["securitySchemes"])
def test_every_documented_way_to_send_a_key_is_accepted(gateway: GatewayProcess, scheme: str) -> None:
    told = DOCUMENT["components"]["securitySchemes"][scheme]
    headers = {told["name"]: KEYS["ann"]} if told.get("in") == "header" else {}
    if told["type"] == "http":
        headers = {"authorization": f"Bearer {KEYS['ann']}"}
    params = {told["name"]: KEYS["ann"]} if told.get("in") == "query" else {}
    answer = requests.get(f"{gateway.url}/v1/models", headers=headers, params=params, timeout=TIMEOUT_S)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if path != ENDLESS])
def test_undocumented_methods_are_rejected(gateway: GatewayProcess, path: str) -> None:
    real = re.sub(r"{\w+}", "unknown", path)
    answer = requests.request("PUT", gateway.url + real, headers=HEADERS, timeout=TIMEOUT_S)
    assert answer.status_code == 405
    allowed = set(answer.headers["allow"].split(", ")) - {"HEAD"}
    assert allowed == {method.upper() for method in DOCUMENT["paths"][path]}


@pytest.mark.parametrize("path", ["/openapi.json", "/api/openapi.json"])
def test_openapi_document_requires_no_key(gateway: GatewayProcess, path: str) -> None:
    answer = requests.get(gateway.url + path, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert {**answer.json(), "servers": None} == {**DOCUMENT, "servers": None}


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_docs_page_requires_no_key(gateway: GatewayProcess, path: str) -> None:
    page = requests.get(gateway.url + path, timeout=TIMEOUT_S, allow_redirects=False)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    parts = set(re.findall(r' (?:src|href)="([^#:"]+)"', page.text))
    assert len(parts) == 3
    for part in parts:
        answer = requests.get(urljoin(page.url, part), timeout=TIMEOUT_S)
        assert answer.status_code == 200, part
        assert answer.headers["x-content-type-options"] == "nosniff"
