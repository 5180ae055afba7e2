"""The input of a batch: split into whole lines, and all errors reported with their line number."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.resources.batches import input as batch_input
from intellirouter.resources.batches.input import InputCheck, read_lines

CHAT = "/v1/chat/completions"


def line(custom_id: object = "a", model: str = "m", **change: Any) -> bytes:
    members = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": model}, **change}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def checked(*pieces: bytes, max_lines: int = 100) -> tuple[InputCheck, list[tuple[int, str, bytes]]]:
    check = InputCheck(CHAT, max_lines)
    chunks = [chunk for piece in pieces for chunk in check.feed(piece)] + check.end()
    return check, [
        (chunk.first + offset, custom_id, body)
        for chunk in chunks
        for offset, (custom_id, body) in enumerate(read_lines(chunk.content))
    ]


def codes(*lines: bytes, max_lines: int = 100) -> list[tuple[str, int | None]]:
    check, _ = checked(b"\n".join(lines), max_lines=max_lines)
    return [(error.code, error.line) for error in check.errors]


@given(st.data())
def test_lines_are_found_wherever_the_bytes_are_split(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.text(min_size=1, max_size=8), unique=True, min_size=1, max_size=12))
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n  \n"]))
    text = b"\xef\xbb\xbf" * data.draw(st.integers(0, 1)) + end.join(line(each) for each in ids)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    check, found = checked(*pieces)
    assert check.errors == []
    assert [(index, custom_id) for index, custom_id, _ in found] == list(enumerate(ids))
    assert (check.total, check.model) == (len(ids), "m")


def test_chunks_are_small_and_have_the_index_of_their_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "CHUNK_BYTES", 200)
    check = InputCheck(CHAT, 100)
    chunks = check.feed(b"\n".join(line(str(number)) for number in range(20)) + b"\n") + check.end()
    assert len(chunks) > 5
    assert [chunk.first for chunk in chunks] == [0, *(sum(c.content.count(b"\n") for c in chunks[: n + 1]) for n in range(len(chunks) - 1))]  # fmt: skip # noqa: E501
    assert all(len(chunk.content) < 400 for chunk in chunks)


def test_bodies_are_unchanged() -> None:
    raw = (
        b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{ "model":"m", "n":1.50, "big":1e400 }}'
    )
    _, [(_, _, body)] = checked(raw)
    assert body == b'{ "model":"m", "n":1.50, "big":1e400 }'


def test_model_is_known_if_all_lines_request_the_same() -> None:
    assert checked(line("a", "x") + b"\n" + line("b", "x"))[0].model == "x"
    assert checked(line("a", "x") + b"\n" + line("b", "y"))[0].model is None


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{", "invalid_json_line"),
        (b"nonsense", "invalid_json_line"),
        (b'{"custom_id": "\xff"}', "invalid_json_line"),
        (b'{"body": ' + b"[" * 100_000, "limit_exceeded"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        (line(body=[1]), "invalid_request"),
        (line(body="text"), "invalid_request"),
        (line(None), "missing_required_parameter"),
        (line(method=None), "missing_required_parameter"),
        (line(url=None), "missing_required_parameter"),
        (line(body=None), "missing_required_parameter"),
        (line(""), "invalid_type"),
        (line(["a"]), "invalid_type"),
        (line("first"), "duplicate_custom_id"),
        (line("x")[:-1] + b', "body": {"model": "other"}}', "duplicate_parameter"),
        (line("x")[:-1] + rb', "\u0063ustom_id": "y"}', "duplicate_parameter"),
        (line("x")[:-2] + rb', "mod\u0065l": "other"}}', "duplicate_parameter"),
        (line(method="get"), "invalid_method"),
        (line(method={}), "invalid_method"),
        (line(url="/v1/embeddings"), "invalid_url"),
        (line(url=[CHAT]), "invalid_url"),
    ],
)
def test_errors_have_the_number_of_their_line(bad: bytes, code: str) -> None:
    check, found = checked(b"\n".join([line("first"), b"", bad, line("last")]))
    assert [(error.code, error.line) for error in check.errors] == [(code, 3)]
    assert all(error.message for error in check.errors)
    assert [custom_id for _, custom_id, _ in found] in (
        [],
        ["first"],
    )  # no further lines are returned when the batch cannot run


def test_all_errors_are_reported_up_to_a_limit() -> None:
    assert codes(b"{", line("a"), b"[]") == [("invalid_json_line", 1), ("invalid_request", 3)]
    assert len(codes(*[b"{"] * 1000)) == 100


def test_empty_and_too_long_files_are_rejected() -> None:
    assert codes() == [("empty_file", None)]
    assert codes(b"", b"  ", b"\r") == [("empty_file", None)]
    lines = [line(str(number)) for number in range(4)]
    assert codes(*lines, max_lines=4) == []
    assert codes(*lines, max_lines=3) == [("too_many_tasks", None)]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_rejected_without_an_exception(pieces: list[bytes]) -> None:
    check, _ = checked(*pieces)
    assert check.errors
