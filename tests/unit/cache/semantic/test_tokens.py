"""How texts are split into tokens."""

import time

import pytest

from intellirouter.cache.semantic.tokens import Kind, tokens_of


def keys(text: str) -> list[str]:
    return [token.key for token in tokens_of(text)]


def test_words_are_compared_without_their_case_and_keep_the_punctuation_after_them() -> None:
    tokens = tokens_of("Hi, What is this? OK…")
    assert [(token.key, token.raw, token.after) for token in tokens] == [
        ("hi", "Hi", ","),
        ("what", "What", ""),
        ("is", "is", ""),
        ("this", "this", "?"),
        ("ok", "OK", "…"),
    ]
    assert [token.is_initial for token in tokens] == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000 birds", ["1000", "birds"]),
        ("$1,234,567.", ["$", "1234567"]),
        ("1,000.50 or 1.000", ["1,000.50", "or", "1.000"]),
        ("f(1,200)", ["f", "(", "1,200", ")"]),
        ("10² and 10", ["10²", "and", "10"]),
        ("5! is 120!", ["5", "!", "is", "120", "!"]),
        ("-5 or 5-10 or .5", ["-5", "or", "5-10", "or", ".", "5"]),
        ("2024-01-05 16:30", ["2024-01-05", "16:30"]),
        ("C++ and C# and A- here", ["c", "+", "+", "and", "c", "#", "and", "a", "-", "here"]),
        ("a light-year - or so", ["a", "light", "year", "or", "so"]),
        ("A - B", ["a", "-", "b"]),
        ("f'(x)", ["f", "'", "(", "x", ")"]),
        ("the dogs' food, don't", ["the", "dogs", "food", "don't"]),
        ("don’t", ["don't"]),
    ],
)
def test_numbers_symbols_and_hyphens(text: str, expected: list[str]) -> None:
    assert keys(text) == expected


@pytest.mark.parametrize(
    "literal",
    [
        "`a b`",
        '"Break a leg"',
        "“Break a leg”",
        "«Guten Tag»",
        "'thank you'",
        "https://example.com/a?b=c",
        "ann@example.com",
        "/etc/hosts",
        "src/main.py",
        "user_id",
        "node.js",
        "utf8",
        "v1.2",
        r"dir\file",
    ],
)
def test_literals_are_one_token_and_keep_their_case(literal: str) -> None:
    tokens = tokens_of(f"Explain {literal} to me")
    assert [(token.kind, token.key) for token in tokens][1] == (Kind.LITERAL, literal)
    assert len(tokens) == 4


def test_lines_of_code_are_literals_with_their_indentation() -> None:
    tokens = tokens_of("Explain this:\ndef f(x):\n    return x\nThanks")
    assert [token.key for token in tokens if token.kind is Kind.LITERAL] == ["def f(x):", "    return x"]
    fenced = tokens_of("Explain this:\n```\nlist all\n```\nPlease")
    assert [token.key for token in fenced if token.kind is Kind.LITERAL] == ["```", "list all", "```"]


def test_full_width_and_invisible_characters_are_normalized() -> None:
    assert keys("Ｗｈａｔ\u200b　is？") == ["what", "is"]


def test_scripts_without_spaces_are_one_word() -> None:
    assert keys("日本の首都はどこですか。") == ["日本の首都はどこですか"]


@pytest.mark.parametrize(
    "piece", [".", '"', "“", "/", "-", "a-", "w:", "@a", "```", "'a ", "{\n", "1,", "a.b", "\\", "x_"]
)
def test_the_time_is_bounded_for_hostile_texts(piece: str) -> None:
    start = time.process_time()
    tokens_of(piece * (2_000 // len(piece)))
    assert time.process_time() - start < 0.5
