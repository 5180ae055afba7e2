"""Multipart forms: parsed, and edited without other changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core.errors import InvalidRequest
from intellirouter.dialects.openai_media.forms import read_form

TYPE = 'multipart/form-data; boundary="b-1"'


def form(*parts: tuple[str, bytes], boundary: str = "b-1") -> bytes:
    body = b""
    for name, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def test_fields_and_files_are_separate() -> None:
    body = form(('name="model"', b"whisper-1"), ('name="file"; filename="a.wav"', b"\x00\xff--b-1 not a mark"))
    read = read_form(body, TYPE)
    assert [(part.name, part.is_file) for part in read.parts] == [("model", False), ("file", True)]
    assert read.value("model") == "whisper-1"
    assert read.value("file") is None
    assert read.value("language") is None


def test_only_the_field_is_replaced() -> None:
    file = ('name="file"; filename="a.wav"', bytes(range(256)))
    body = form(file, ('name="model"', b"m"))
    assert read_form(body, TYPE).with_value("model", "up/é") == form(file, ('name="model"', "up/é".encode()))


def test_a_missing_field_is_added() -> None:
    body = form(('name="file"; filename="a"', b"x"))
    edited = read_form(body, TYPE).with_value("model", "m")
    read = read_form(edited, TYPE)
    assert read.value("model") == "m"
    assert edited.endswith(body)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=b-1", ""])
def test_content_types_other_than_forms_are_rejected(kind: str) -> None:
    with pytest.raises(InvalidRequest, match="multipart/form-data"):
        read_form(form(('name="model"', b"m")), kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--b-1",
        b'--b-1\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut off',
        b"--b-1\r\n\r\nx\r\n--b-1--\r\n",
        b"--b-1\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b-1--\r\n",
    ],
)
def test_malformed_forms_are_rejected(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="form is malformed"):
        read_form(body, TYPE)


def test_too_many_parts_are_rejected() -> None:
    with pytest.raises(InvalidRequest, match="more than 256 parts"):
        read_form(form(*[('name="a"', b"x")] * 300), TYPE)


@given(st.binary(max_size=200))
def test_any_body_is_parsed_or_rejected(body: bytes) -> None:
    for text in (body, b"--b-1\r\n" + body, b"--b-1\r\nContent-Disposition: form-data; name=a\r\n\r\n" + body):
        try:
            read = read_form(text, TYPE)
        except InvalidRequest:
            continue
        assert read_form(read.with_value("model", "x"), TYPE).value("model") == "x"


def test_file_names_are_parsed() -> None:
    body = form(
        ('name="image"; filename="first.txt"', b"1"),
        ('name="image"; filename="a \\"b\\" é.jsonl"', b"2"),
        ("name=other; filename=plain.bin", b"3"),
        ('name="purpose"', b"batch"),
    )
    read = read_form(body, TYPE)
    assert [part.file_name for part in read.parts] == ["first.txt", 'a "b" é.jsonl', "plain.bin", ""]
    last = read.file("image")
    assert last is not None
    assert body[last.start : last.end] == b"2"
    assert read.file("purpose") is None


@pytest.mark.parametrize(
    "name", ['name="model"', "name=model", 'NAME="purpose"', 'name="stream"', 'name="response_format"', 'name="prompt"']
)
def test_fields_that_are_given_twice_are_refused(name: str) -> None:
    plain = name.partition("=")[2].strip('"')
    with pytest.raises(InvalidRequest, match="is given more than once") as caught:
        read_form(form((name, b"a"), ('name="x"', b""), (f'name="{plain}"', b"a")), TYPE)
    assert (caught.value.param, caught.value.code) == (plain, "duplicate_parameter")


@pytest.mark.parametrize(
    "parts",
    [
        (('name="file"; filename="a"', b"1"), ('name="file"; filename="b"', b"2")),
        (('name="model"', b"a"), ('name="model"; filename="m"', b"b")),
        (('name="model"; filename="m"', b"b"),),
        (('name="a"; name="model"', b"b"),),
        (('name="a"\r\nContent-Disposition: form-data; name="model"', b"b"),),
    ],
)
def test_parts_that_servers_may_read_differently_are_refused(parts: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(InvalidRequest):
        read_form(form(*parts), TYPE)


def test_lists_may_have_several_parts() -> None:
    read = read_form(form(('name="a[]"', b"1"), ('name="a[]"', b"2"), ('name="image"; filename="i"', b"")), TYPE)
    assert len(read.parts) == 3
