"""Sends the request of a cell, and compares what client, vendor and record say with the declared outcome."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct, structs

from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import Answer, RawConnection
from tests.support.matrix.operations import OPERATIONS, UPSTREAMS_WITH_EMBEDDINGS
from tests.support.matrix.outcomes import Cell, Outcome, Row
from tests.support.matrix.records import Records
from tests.support.matrix.world import (
    ALL_UPSTREAMS,
    FAULTY,
    NEXT,
    STRATEGY_NAMES,
    Matrix,
    faulty_model,
    model_name,
)
from tests.support.translation.prompt import SCHEMA, ParsedAnswer, Prompt, Tool
from tests.support.translation.world import CLIENTS, UPSTREAMS

WORDS = "one two three four five six seven eight nine ten eleven twelve"
CALLS = 'call weather with {"city": "Oslo"} call weather with {"city": "Rome"}'
AT_ONCE = 14
TIMEOUT_S = 30.0


class Sent(Struct):
    """A cell, its request, and what came back."""

    cell: Cell
    outcome: Outcome
    text: str
    """The text of the request, which no other request has."""
    answer: Answer
    is_cut: bool
    """The connection was closed before the end of the answer."""
    record: dict[str, Any]


def cells_of(fault: str, client: str) -> list[Cell]:
    """Return the cells of a fault and a client: every strategy and every upstream, each complete and streamed."""
    upstreams, count = list(UPSTREAMS), max(len(STRATEGY_NAMES), len(UPSTREAMS))
    offset = list(CLIENTS).index(client)
    return [
        Cell(fault, client, upstreams[(turn + offset) % len(upstreams)], strategy, is_stream)
        for turn in range(count)
        for strategy in (STRATEGY_NAMES[turn % len(STRATEGY_NAMES)],)
        for is_stream in (False, True)
    ]


def operation_cells_of(fault: str, number: int) -> list[Cell]:
    """Return the cells of a fault and the operations without streams. `number` is that of the fault.

    Embeddings are requested with every strategy, the others with one, which is another one for each of them and for the
    next fault.
    """
    embedding = [
        Cell(fault, "embeddings", UPSTREAMS_WITH_EMBEDDINGS[(number + turn) % 3], strategy, is_stream=False)
        for turn, strategy in enumerate(STRATEGY_NAMES)
    ]
    others = [
        Cell(fault, name, "media", STRATEGY_NAMES[(number + turn) % len(STRATEGY_NAMES)], is_stream=False)
        for turn, name in enumerate(OPERATIONS)
        if name != "embeddings"
    ]
    return embedding + others


def run_cells(matrix: Matrix, row: Row, cells: Sequence[Cell]) -> list[str]:
    """Apply the fault, send the requests of all cells, and return the problems. Each begins with the cell."""
    gateway, vendor = matrix.gateway, matrix.vendor
    vendor.reset()
    vendor.fault(match={"model": FAULTY}, **row.fault)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        sent = list(threads.map(lambda cell: send(gateway.port, matrix.records, row, cell), cells))
    received = Counter(_mark_in(each["body"]) for each in vendor.requests())
    problems = [problem_of(each, row, received[_mark_in(each.text)]) for each in sent]
    return [each for each in problems if each] + health_problems(matrix, sent)


def send(port: int, records: Records, row: Row, cell: Cell) -> Sent:
    text = f"mark{os.urandom(6).hex()} {WORDS if row.prompt == 'text' else CALLS}"
    model = model_name(cell.strategy, cell.upstream, is_silent=row.is_silent)
    with RawConnection(port, TIMEOUT_S) as link:
        if operation := OPERATIONS.get(cell.client):
            link.send_post(operation.body(text, model), operation.path, content_type=operation.content_type)
        else:
            _send_prompt(link, row, cell, text, model)
        status, headers = link.head()
        body, is_cut = _body(link, headers)
    record = records.of(headers["x-request-id"])
    return Sent(cell, _settled(row.outcome(cell), record), text, Answer(status, headers, body), is_cut, record)


def _send_prompt(link: RawConnection, row: Row, cell: Cell, text: str, model: str) -> None:
    kind = CLIENTS[cell.client]
    prompt = Prompt(text=text, max_tokens=500)
    if row.prompt == "tools" and kind.has_tools:
        prompt.tools = [Tool("weather")]
    if row.prompt == "schema" and kind.has_schema:
        prompt.schema = SCHEMA
    request = kind.build(prompt, model, stream=cell.is_stream)
    headers = {"anthropic_version": "2023-06-01"} if cell.client == "messages" else {}
    link.send_post(json.dumps(request.body).encode(), request.path, **headers)


def _body(link: RawConnection, headers: dict[str, str]) -> tuple[bytes, bool]:
    """Return what arrives of the body, and whether the connection is closed before its end."""
    if headers.get("transfer-encoding") != "chunked":
        return link.exactly(int(headers["content-length"])), False
    chunks = []
    try:
        while chunk := link.chunk():
            chunks.append(chunk)
    except ConnectionError:
        return b"".join(chunks), True
    return b"".join(chunks), False


def _settled(outcome: Outcome, record: dict[str, Any]) -> Outcome:
    """Return which of the two outcomes of `late` has occurred: the client has an error, or another one has answered.

    The second deployment of the pool has the same fault, so it may have sent content before it fails.
    """
    if outcome.kind != "late":
        return outcome
    if "error_code" in record:
        return structs.replace(outcome, kind="broken", failures=len(outcomes(record)))
    return structs.replace(outcome, kind="replaced")


def problem_of(sent: Sent, row: Row, upstream_requests: int) -> str:
    """Return what differs from the declared outcome, in one line; empty if nothing does."""
    declared = f"declared: {sent.outcome.kind} {sent.outcome.code}"
    found = [*_problems_of_attempts(sent, upstream_requests), *_problems_of_body(sent, row)]
    if not found:
        return ""
    seen = f"status {sent.answer.status}, attempts {outcomes(sent.record)}, body {sent.answer.body[-300:]!r}"
    return f"{sent.cell}: {' '.join(found)} ({declared}; {seen})"


def _problems_of_attempts(sent: Sent, upstream_requests: int) -> Iterable[str]:
    answer, record, outcome = sent.answer, sent.record, sent.outcome
    expected = [outcome.code] * outcome.failures + ["ok"] * (outcome.kind == "replaced")
    if [code for _, code in outcomes(record)] != expected:
        yield f"The attempts should be {expected}."
    if answer.headers.get("x-intellirouter-attempts") != str(len(record.get("attempts", []))):
        yield "The header has another number of attempts."
    if answer.headers.get("x-intellirouter-strategy") != sent.cell.strategy:
        yield "Another strategy has decided."
    if not len(expected) <= upstream_requests <= len(record.get("attempts", [])):
        yield f"The vendor received {upstream_requests} requests."
    if answer.status != outcome.status or record["status"] != outcome.status:
        yield f"The status should be {outcome.status}, and is {record['status']} in the record."


def _problems_of_body(sent: Sent, row: Row) -> Iterable[str]:
    cell, body = sent.cell, sent.answer.body
    is_stream = cell.is_stream and sent.answer.status == 200
    if is_stream and cell.is_passthrough and row.is_relayed_as_it_is:
        body = tidied(body)
    has_usual_content = sent.outcome.has_usual_content
    try:
        parsed = ParsedAnswer(error="It is cut.")
        if not sent.is_cut:
            parsed = _parsed(cell, body, is_stream=is_stream, has_usual_content=has_usual_content)
    except (AssertionError, ValueError, LookupError) as error:
        return [f"The body is not valid in the client's dialect: {error!r}"]
    if sent.outcome.kind == "replaced":
        return _problems_of_success(sent, parsed, row, f"{ALL_UPSTREAMS[NEXT[cell.upstream]].model}: {sent.text}")
    text = f"{faulty_model(cell.upstream)}: {sent.text}{row.tail}"
    if sent.outcome.kind == "answered":
        return _problems_of_success(sent, parsed, row, text)
    return _problems_of_failure(sent, parsed, row, text)


def _parsed(cell: Cell, body: bytes, *, is_stream: bool, has_usual_content: bool) -> ParsedAnswer:
    if operation := OPERATIONS.get(cell.client):
        return operation.parse(body) if has_usual_content else ParsedAnswer(is_complete=True)
    parsed: ParsedAnswer = CLIENTS[cell.client].parse(body, stream=is_stream)
    return parsed


def _problems_of_success(sent: Sent, parsed: ParsedAnswer, row: Row, text: str) -> Iterable[str]:
    if parsed.error or not parsed.is_complete:
        yield f"The answer has an error or is not complete: {parsed.error}."
    elif sent.outcome.has_usual_content and not _is_content_right(sent.cell, parsed, row, text):
        yield f"The content is {parsed.text!r}, {parsed.calls} instead of {text!r}."
    elif sent.outcome.has_usual_content and not _is_finish_right(sent.cell, parsed, row):
        yield f"The finish reason is {parsed.finish}."
    if "error_code" in sent.record:
        yield f"The record has an error: {sent.record['error_code']}."
    if sent.cell.client in OPERATIONS:
        return
    usage = sent.record.get("usage", {})
    if not (usage.get("input_tokens", 0) > 0 and usage.get("output_tokens", 0) > 0):
        yield f"The record has no usage: {usage}."


def _is_content_right(cell: Cell, parsed: ParsedAnswer, row: Row, text: str) -> bool:
    if cell.client in OPERATIONS:
        return True  # it has been parsed
    kind = CLIENTS[cell.client]
    if row.prompt == "tools" and kind.has_tools:
        ids = [call.id for call in parsed.calls if call.id]
        are_ids_right = len(set(ids)) == len(ids) or cell.is_passthrough
        return are_ids_right and [call.arguments for call in parsed.calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    if row.prompt == "schema" and kind.has_schema:
        return set(json.loads(parsed.text)) == set(SCHEMA["required"])
    return parsed.text == text


def _is_finish_right(cell: Cell, parsed: ParsedAnswer, row: Row) -> bool:
    if cell.client in OPERATIONS:
        return True
    if parsed.finish is None and row.may_lack_finish:
        return cell.is_passthrough and cell.wire in {"gemini", "ollama"}
    return parsed.finish == ("tool_calls" if row.prompt == "tools" and CLIENTS[cell.client].has_tools else "stop")


def _problems_of_failure(sent: Sent, parsed: ParsedAnswer, row: Row, text: str) -> Iterable[str]:
    if not parsed.error or parsed.is_complete:
        yield f"The client has no error, or an answer that looks complete: {parsed}."
    if sent.record.get("error_code") != sent.outcome.code:
        yield f"The record has the error {sent.record.get('error_code')}."
    if sent.is_cut != (sent.cell.wire == "speech" and sent.outcome.kind == "broken"):
        yield "The connection was closed early, or audio ended like a complete answer."
    if sent.outcome.kind == "refused" or sent.is_cut:
        return
    if row.prompt == "text" and not (parsed.text and text.startswith(parsed.text)):
        yield f"The text is {parsed.text!r}, which is not the beginning of {text!r}."
    if not sent.record.get("usage", {}).get("output_tokens"):
        yield "The tokens that the client has got are not in the record."


def outcomes(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return deployment and outcome of the attempts, without those whose pooled connection was dead already."""
    attempts = record.get("attempts", [])
    stale = {number - 1 for number, each in enumerate(attempts) if each["kind"] == "reconnect"}
    return [(each["deployment"], each["outcome"]) for number, each in enumerate(attempts) if number not in stale]


def health_problems(matrix: Matrix, sent: Sequence[Sent]) -> list[str]:
    """Return the upstreams for which another number of attempts has counted as failures than declared."""
    before, expected = matrix.failures, Counter(matrix.failures)
    for each in sent:
        if each.outcome.counts:
            expected[each.cell.upstream] += each.outcome.failures
    after = matrix.failures = count_failures(matrix.gateway)
    fault, client = sent[0].cell.fault, sent[0].cell.client
    return [
        f"{fault} × {client} client, {upstream} upstream: {after[upstream] - before[upstream]} attempts count as "
        f"failures instead of {expected[upstream] - before[upstream]}."
        for upstream in after.keys() | expected.keys()
        if after[upstream] != expected[upstream]
    ]


def count_failures(gateway: GatewayProcess) -> Counter[str]:
    """Return how many attempts have counted against the deployments of each upstream, and against all good ones."""
    models = gateway.get("/api/v1/models").json()["models"]
    by_deployment = {name: each for model in models for name, each in model["metrics"].items()}
    found: Counter[str] = Counter()
    for name, each in by_deployment.items():
        upstream, kind, *_ = name.split("-")
        found[upstream if kind == "faulty" else "good"] += each["failures"]
        assert each["in_flight"] == 0, f"{name} still has requests in flight."
    return found


def _mark_in(text: str) -> str:
    at = text.find("mark")
    return text[at : at + 16]


def tidied(body: bytes) -> bytes:
    """Return a stream without what passthrough does not repair. Clients accept it, but not the parsers of the tests.

    There are no blank lines between documents, and each is in one line. All chunks of a chat have the same id, and
    usage is in a chunk of its own.
    """
    if body.startswith(b"{"):
        return b"\n".join(line for line in body.splitlines() if line)
    blocks = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line.startswith("event:")]
        data = "".join(line[5:] for line in block.split("\n") if line.startswith("data:")).strip()
        if not data.startswith("{"):
            blocks.append(block)
            continue
        document = json.loads(data)
        if "filler" in document:
            continue
        if str(document.get("id", "")).startswith("chatcmpl-"):
            document["id"] = "chatcmpl-1"
        if document.get("choices"):
            document.pop("usage", None)
        blocks.append("\n".join([*lines, f"data: {json.dumps(document)}"]))
    return "\n\n".join(blocks).encode()
