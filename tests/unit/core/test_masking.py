"""Credentials that upstreams repeat in their errors, in the forms in which vendors show them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Secret, errors, mask_credentials, mask_credentials_in_bytes, mask_error

KEY = "sk-proj-Ab3dEf6hIj9kLmNoPqRsTuVwXyZ0123456789wxyz"
SECRETS = (Secret("sk-other-0000000000000000"), Secret(KEY))


def masked(text: str, *values: str) -> str:
    return mask_credentials(text, tuple(map(Secret, values or (KEY,))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: ***."),
        (f"key={KEY}&x=1", "key=***&x=1"),
        ("Incorrect API key provided: sk-proj-Ab3d*********************wxyz.", "Incorrect API key provided: ***."),
        ("Invalid key: sk-pr...wxyz", "Invalid key: ***"),
        ("Invalid key: sk-pr…wxyz", "Invalid key: ***"),
        ("Invalid key: sk-proj-AbXXXXXXXXXXXXwxyz", "Invalid key: ***"),
        ("The key ending in wxyz is disabled.", "The key ending in *** is disabled."),
        ("The key ends with 'wxyz'.", "The key ends with '***'."),
        ("starts with sk-proj-Ab3dEf6h and goes on", "starts with *** and goes on"),
        ("the last are 456789wxyz", "the last are ***"),
        ("authorization: Bearer eyJhbGciOi.something.else was refused", "authorization: Bearer *** was refused"),
        ("token ya29.a0AfH6SMBxxxxxxxxxxxx expired", "token ya29.*** expired"),
    ],
)
def test_key_is_masked_as_vendors_show_it(text: str, expected: str) -> None:
    result = masked(text)
    assert result == expected
    assert masked(result) == result


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Keys begin with sk-proj-.",
        "The model is overloaded... Please retry.",
        "**Bold** and --- and ### are not masks.",
        "rate limit of 10***20 exceeded",
        "ends with an error",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert masked(text) == text


def test_parts_of_compound_credentials_are_masked() -> None:
    aws = "AKIAABCDEFGHIJKLMNOP:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY:session-token-0123456789"
    assert masked("AKIAABCDEFGHIJKLMNOP wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", aws) == "*** ***"
    google = json.dumps(
        {"client_email": "a@b.iam", "private_key": "-----BEGIN KEY-----\nMIIabcdefgh\n-----END KEY-----\n"}
    )
    assert "MIIabc" not in masked("-----BEGIN KEY-----\nMIIabcdefgh\n-----END KEY-----\n", google)
    assert masked("account a@b.iam", google) == "account a@b.iam"


def test_encoded_forms_are_masked() -> None:
    key = 'abc/def+ghi"jkl=mno=='
    for text in (json.dumps(key), 'abc\\/def+ghi\\"jkl=mno==', "abc%2Fdef%2Bghi%22jkl%3Dmno%3D%3D"):
        assert "jkl" not in masked(text, key)


def test_short_credentials_are_masked_as_words_only() -> None:
    assert masked("ollama-model failed for ollama", "ollama") == "ollama-model failed for ***"
    assert masked("none", "none") == "none"


def test_bytes_in_any_encoding() -> None:
    document = json.dumps({"error": {"message": f"é {KEY}"}}, ensure_ascii=False).encode()
    assert mask_credentials_in_bytes(document, SECRETS) == b'{"error": {"message": "\xc3\xa9 ***"}}'
    untouched = b"\xff\xfe nothing"
    assert mask_credentials_in_bytes(untouched, SECRETS) is untouched


def test_every_part_of_an_error_is_masked() -> None:
    error = errors.UpstreamRejected(f"bad {KEY}", code=KEY, param=KEY)
    error.vendor_body = KEY.encode()
    mask_error(error, SECRETS)
    assert (error.message, error.code, error.param, error.vendor_body) == ("bad ***", "***", "***", b"***")


@given(st.text(alphabet="ab*-. x", max_size=30), st.text(alphabet="ab-", min_size=12, max_size=20), st.text(max_size=9))
def test_whole_key_is_never_left(before: str, key: str, after: str) -> None:
    assert key not in masked(before + key + after, key)


@given(st.integers(3, 12), st.integers(3, 8), st.integers(2, 40))
def test_shown_parts_are_never_left(head: int, tail: int, stars: int) -> None:
    text = f"Key {KEY[:head]}{'*' * stars}{KEY[-tail:]} is wrong"
    assert masked(text) == "Key *** is wrong"
