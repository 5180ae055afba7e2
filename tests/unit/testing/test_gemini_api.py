"""MockVendor's Gemini API on AI Studio and Vertex AI: format, equal content in stream and body, and validation."""

import base64
import json
from typing import Any

import pytest

from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.gemini import GeminiApi
from tests.support.mock_vendor.requests import wire_request

USER = {"role": "user", "parts": [{"text": "hello there"}]}
CALLING = {"role": "user", "parts": [{"text": 'call weather with {"city": "Oslo"} and call clock'}]}
TOOLS = [
    {
        "functionDeclarations": [
            {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
            {"name": "clock"},
        ]
    }
]
RESULTS = {
    "role": "user",
    "parts": [
        {"functionResponse": {"name": "weather", "response": {"output": "sunny, "}}},
        {"functionResponse": {"name": "clock", "response": {"output": "noon"}}},
    ],
}
VERTEX = "/v1/projects/p/locations/l/publishers/google"


def post(
    document: Any, *, model: str = "gemini-x", method: str = "generateContent", base: str = "/v1beta", **headers: str
) -> Reply:
    headers = headers or ({"authorization": "Bearer t"} if "projects" in base else {"x_goog_api_key": "k"})
    return GeminiApi().answer(wire_request(f"{base}/models/{model}:{method}", document, **headers))


def generate(model: str = "gemini-x", base: str = "/v1beta", **fields: Any) -> Any:
    reply = post({"contents": [USER], **fields}, model=model, base=base)
    assert reply.status == 200, reply.parts
    return json.loads(reply.parts[0])


def streamed(model: str = "gemini-x", *, is_sse: bool = True, **fields: Any) -> list[Any]:
    method = "streamGenerateContent" + ("?alt=sse" if is_sse else "")
    reply = post({"contents": [USER], **fields}, model=model, method=method)
    assert reply.status == 200, reply.parts
    if not is_sse:
        documents: list[Any] = json.loads(b"".join(reply.parts))
        return documents
    for part in reply.parts:
        assert part.startswith(b"data: ")
        assert part.endswith(b"\r\n\r\n")
    return [json.loads(part[6:]) for part in reply.parts]


def rejection(document: Any, **how: Any) -> tuple[int, str, str]:
    reply = post(document, **how)
    error = json.loads(reply.parts[0])["error"]
    assert error["code"] == reply.status
    return reply.status, error["status"], error["message"]


def joined(documents: list[Any]) -> Any:
    """Merge the chunks of a stream into a complete response."""
    candidates: dict[int, Any] = {}
    for document in documents:
        for piece in document["candidates"]:
            known = candidates.setdefault(piece["index"], {"text": "", "thought": "", "calls": []})
            for part in piece["content"].get("parts", []):
                if "functionCall" in part:
                    known["calls"].append({**part["functionCall"], "id": None})
                else:
                    known["thought" if part.get("thought") else "text"] += part["text"]
            known["finish"] = piece.get("finishReason", known.get("finish"))
    return candidates, documents[-1]["usageMetadata"]


def test_answer_has_googles_fields() -> None:
    whole = generate()
    assert whole["candidates"] == [
        {"content": {"parts": [{"text": "gemini-x: hello there"}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
    assert {"usageMetadata", "modelVersion", "responseId"} <= set(whole)
    usage = whole["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]


@pytest.mark.parametrize("is_sse", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"generationConfig": {"candidateCount": 2}},
        {"generation_config": {"max_output_tokens": 2}},
        {"generationConfig": {"stopSequences": ["there"]}},
        {"contents": [CALLING], "tools": TOOLS},
        {"tools": TOOLS, "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["clock"]}}},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 99}}},
        {"model": "gemini-3-x", "contents": [CALLING], "tools": TOOLS},
        {"model": "gemini-3-x"},
        {"model": "refuse"},
    ],
    ids=str,
)
def test_stream_and_body_have_the_same_content(fields: dict[str, Any], is_sse: bool) -> None:
    assert joined(streamed(**fields, is_sse=is_sse)) == joined([generate(**fields)])


def test_finish_reasons() -> None:
    def reason(**fields: Any) -> str:
        return str(generate(**fields)["candidates"][0]["finishReason"])

    assert reason(generationConfig={"maxOutputTokens": 1}) == "MAX_TOKENS"
    assert reason(contents=[CALLING], tools=TOOLS) == "STOP"
    assert reason(model="refuse") == "SAFETY"
    assert "parts" not in generate(model="refuse")["candidates"][0]["content"]


def test_structured_output_satisfies_both_kinds_of_schema() -> None:
    for name, schema in (
        ("responseSchema", {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}),
        ("responseJsonSchema", {"type": "object", "properties": {"a": {"type": "integer"}}}),
    ):
        config = {"responseMimeType": "application/json", name: schema}
        text = generate(generationConfig=config)["candidates"][0]["content"]["parts"][0]["text"]
        assert json.loads(text) == {"a": 1}


def test_calls_must_return_their_signature() -> None:
    first = generate("gemini-3-x", contents=[CALLING], tools=TOOLS)["candidates"][0]["content"]
    assert ["thoughtSignature" in part for part in first["parts"]] == [True, False]
    assert all("id" in part["functionCall"] for part in first["parts"])

    def again(signature: str | None, **how: Any) -> Any:
        parts = [dict(part) for part in first["parts"]]
        parts[0].pop("thoughtSignature")
        parts[0] |= {} if signature is None else {"thoughtSignature": signature}
        contents = [CALLING, {"role": "model", "parts": parts}, RESULTS]
        return post({"contents": contents, "tools": TOOLS}, **{"model": "gemini-3-x", **how})

    issued = first["parts"][0]["thoughtSignature"]
    as_client_bytes = base64.urlsafe_b64encode(b"skip_thought_signature_validator").decode()
    for good in (issued, "skip_thought_signature_validator", "context_engineering_is_the_way_to_go", as_client_bytes):
        answer = json.loads(again(good).parts[0])
        assert answer["candidates"][0]["content"]["parts"][0]["text"] == "gemini-3-x: sunny, noon"
    missing = again(None)
    assert missing.status == 400
    assert b"function call `default_api:weather` , position 2. Please refer to" in missing.parts[0]
    assert b"Corrupted thought signature." in again("bW9jaw==").parts[0]
    # The signatures of one API are not valid for the other, and older models do not require any.
    assert b"Corrupted thought signature." in again(issued, base=VERTEX).parts[0]
    assert again(None, model="gemini-2.5-x").status == 200


def test_earlier_turns_need_no_signature() -> None:
    unsigned = {"role": "model", "parts": [{"functionCall": {"name": "clock", "args": {}}}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "clock", "response": {"output": "noon"}}}]}
    contents = [USER, unsigned, result, {"role": "model", "parts": [{"text": "noon"}]}, USER]
    assert generate("gemini-3-x", contents=contents, tools=TOOLS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"seed": 1}, 'Unknown name "seed": Cannot find field.'),
        ({"generationConfig": {"n": 1}}, "Unknown name \"n\" at 'generation_config': Cannot find field."),
        ({"contents": [{"parts": [{"text": "a", "type": "text"}]}]}, "at 'contents[0].parts[0]': Cannot find field."),
        ({"contents": []}, "GenerateContentRequest.contents: contents is not specified"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty."),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "required oneof field 'data' must have one"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 1"),
        ({"contents": [USER, RESULTS]}, "function response turn comes immediately after a function call turn"),
        ({"contents": [USER, {"role": "model", "parts": [{"functionCall": {"name": "a"}}]}, USER]},
         "number of function response parts is equal to the number of function call parts"),
        ({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "a"}}]}]},
         "function call turn comes immediately after a user turn"),
        ({"tools": [{"functionDeclarations": [{"name": "a b"}]}]}, "Invalid function name."),
        ({"tools": [{"functionDeclarations": [{"name": "a"}, {"name": "a"}]}]}, "Duplicate function declaration found"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "REQUIRED"}}}, 'FunctionCallingConfig.Mode), "REQUIRED"'),
        ({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["a"]}}}, "mode is ANY"),
        ({"generationConfig": {"temperature": 3}}, "temperature must be in the range [0.0, 2.0]."),
        ({"generationConfig": {"responseSchema": {"type": "STRING"}}}, "response_mime_type"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}, "only one of"),
        ({"tools": TOOLS, "generationConfig": {"responseMimeType": "application/json"}}, "Function calling with a"),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_are_rejected(fields: dict[str, Any], expected: str) -> None:
    status, name, message = rejection({"contents": [USER], **fields})
    assert (status, name) == (400, "INVALID_ARGUMENT")
    assert expected in message


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$schema": "x"}, 'Unknown name "$schema" at'),
        ({"additionalProperties": False}, 'Unknown name "additionalProperties" at'),
        ({"properties": {"a": {"$ref": "#/x"}}},
         "Unknown name \"$ref\" at 'tools[0].function_declarations[0].parameters.properties[0].value'"),
        ({"properties": {"a": {"const": 1}}}, 'Unknown name "const"'),
        ({"properties": {"a": {"type": ["string", "null"]}}}, "Proto field is not repeating, cannot start list."),
        ({"properties": {}}, "should be non-empty for OBJECT type"),
        ({"properties": {"a": {"type": "ARRAY"}}}, "properties[a].items: missing field."),
        ({"properties": {"a": {"type": "INTEGER", "enum": ["1"]}}}, "only allowed for STRING type"),
        ({"properties": {"a": {"type": "STRING", "format": "uri"}}}, "only 'enum' and 'date-time' are supported"),
        ({"properties": {"a": {"type": "text"}}}, 'v1beta.Type), "text"'),
        ({"properties": {"a": {"type": "STRING"}}, "required": ["b"]}, "property is not defined: b"),
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_are_not_googles_schema_are_rejected(schema: dict[str, Any], expected: str) -> None:
    def tools(**members: Any) -> Any:
        return {"contents": [USER], "tools": [{"functionDeclarations": [{"name": "a", **members}]}]}

    whole = {"type": "OBJECT", **schema}
    assert expected in rejection(tools(parameters=whole))[2]
    assert post(tools(parametersJsonSchema=whole)).status == 200


def test_all_unknown_fields_are_reported_with_details() -> None:
    error = json.loads(post({"contents": [USER], "a": 1, "generationConfig": {"b": 2}}).parts[0])["error"]
    assert [violation.get("field") for violation in error["details"][0]["fieldViolations"]] == [
        None, "generation_config",
    ]  # fmt: skip
    assert error["message"].count("\n") == 1


def test_api_keys() -> None:
    def status(path: str, **headers: str) -> tuple[int, str]:
        reply = GeminiApi("k").answer(wire_request(path, {"contents": [USER]}, **headers))
        return reply.status, reply.parts[0].decode()

    path = "/v1beta/models/m:generateContent"
    assert status(path, x_goog_api_key="k")[0] == status(f"{path}?key=k")[0] == status("/v1/models/m:generateContent",
        x_goog_api_key="k")[0] == 200  # fmt: skip
    assert "unregistered callers" in status(path)[1]
    wrong = status(path, x_goog_api_key="x")
    assert (wrong[0], "API_KEY_INVALID" in wrong[1]) == (400, True)
    assert status(f"{VERTEX}/models/m:generateContent", x_goog_api_key="k")[0] == 401
    assert status(f"{VERTEX}/models/m:generateContent", authorization="Bearer k")[0] == 200
    # Errors of a stream in an array are also in an array.
    assert isinstance(json.loads(status("/v1beta/models/m:streamGenerateContent")[1]), list)


def segment(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_token_of_a_service_account_expires() -> None:
    api = GeminiApi()
    claims = {"iss": "a@b", "scope": "s", "aud": "https://x/token", "iat": 1, "exp": 3601}

    def exchange(header: Any, given_claims: Any) -> Any:
        assertion = f"{segment(header)}.{segment(given_claims)}.c2ln"
        form = f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
        return json.loads(api.answer(wire_request("/token", form.encode())).parts[0])

    token = exchange({"alg": "RS256"}, claims)["access_token"]

    def use(at_s: int) -> int:
        request = wire_request(f"{VERTEX}/models/m:generateContent", {"contents": [USER]},
                               authorization=f"Bearer {token}")  # fmt: skip
        request.created_s = at_s
        return api.answer(request).status

    assert (use(5), use(9999)) == (200, 401)
    for header, wrong in (({"alg": "none"}, claims), ({"alg": "RS256"}, {**claims, "exp": 99999}),
                          ({"alg": "RS256"}, {"iss": "a"}), ([], claims)):  # fmt: skip
        assert exchange(header, wrong)["error"] == "invalid_grant"


def test_embeddings_counting_and_models() -> None:
    content = {"content": {"parts": [{"text": "a b"}]}, "outputDimensionality": 8}
    one = json.loads(post(content, method="embedContent").parts[0])["embedding"]["values"]
    two = json.loads(post({"requests": [content, content]}, method="batchEmbedContents").parts[0])["embeddings"]
    assert [len(one), two] == [8, [{"values": one}] * 2]
    old = json.loads(post({"instances": [{"content": "a b"}], "parameters": {"outputDimensionality": 8}},
                          method="predict", base=VERTEX).parts[0])  # fmt: skip
    assert old["predictions"][0]["embeddings"]["values"] == one
    for form in ({"contents": [USER]}, {"generateContentRequest": {"contents": [USER]}}):
        counted = json.loads(post(form, method="countTokens").parts[0])
        assert counted["totalTokens"] == generate()["usageMetadata"]["promptTokenCount"]

    def get(path: str) -> Any:
        return json.loads(GeminiApi().answer(wire_request(path, method="GET", x_goog_api_key="k")).parts[0])

    first = get("/v1beta/models?pageSize=2")
    assert len(first["models"]) == 2
    assert "nextPageToken" not in get(f"/v1beta/models?pageToken={first['nextPageToken']}")
    assert get("/v1beta/models/m")["supportedGenerationMethods"] == ["generateContent", "countTokens"]
    assert get("/v1beta/nothing")["error"]["status"] == "NOT_FOUND"
    for model in ("no-such-x", "embed"):
        assert rejection({"contents": [USER]}, model=model)[:2] == (404, "NOT_FOUND")
    assert rejection(b"[]")[0] == 400
    assert rejection({}, method="doNothing")[0] == 404
