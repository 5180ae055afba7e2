"""What a reading removes and rewrites."""

import pytest

from intellirouter.cache.semantic.reading import read_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please explain rain to me.", "explain rain to me"),
        ("Hi there, could you please list the planets?", "list the planets"),
        ("Hey what is rain made of", "what is rain made of"),
        ("Quick question: what is rain made of?", "what is rain made of"),
        ("Can you explain the rain?", "explain the rain"),
        ("I want you to write the poem.", "write the poem"),
        ("Tell me how rain is made.", "how rain is made"),
        ("What is rain made of? Thanks in advance!", "what is rain made of"),
        ("What is the rain made of, please?", "what is the rain made of"),
        ("What's the rain made of?", "what is the rain made of"),
        ("How do I make the rain stop?", "how to make the rain stop"),
        ("In Python, how can I sort the list?", "how to sort the list in python"),
        ("What is the difference between rain & snow?", "difference between rain and snow"),
        ("What colour has the enviroment?", "what color has the environment"),
        ("What are two and 20 percent of it?", "what are two and 20 % of it"),
        ("What are seven birds worth in the end?", "what are 7 birds worth in the end"),
        ("このリストを要約してください Thank you.", "このリストを要約してください"),
        ("Por favor, ¿qué es la lluvia? Gracias", "qué es la lluvia"),
        ("", ""),
        ("?!", ""),
        ("Please", "please"),
        ("Thanks", "thanks"),
    ],
)
def test_polite_words_and_spellings(text: str, expected: str) -> None:
    assert read_text(text).canonical_text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world program in C", "hello world program in c"),
        ("Hello magazine, who owns it?", "hello magazine who owns it"),
        ("Hey Jude chords", "hey jude chords"),
        ("Can you build a boat?", "can you build a boat"),
        ("I want you to want me", "i want you to want me"),
        ("Please please me, the album", "please me the album"),
        ("Tell me why lyrics", "tell me why lyrics"),
        ("How could I be so stupid?", "how could i be so stupid"),
        ("How do you spell five?", "how do you spell five"),
        ("Is recieve spelled correctly?", "is recieve spelled correctly"),
        ("Is don't one word?", "is don't one word"),
        ("Write a poem that ends with thanks", "write a poem that ends with thanks"),
        ("Continue the text: and then he left. Thanks", "continue the text and then he left thanks"),
        ("Are two hundred birds in the house?", "are two hundred birds in the house"),
        ("In Rome. What is it, and why?", "in rome what is it and why"),
    ],
)
def test_what_may_be_content_stays(text: str, expected: str) -> None:
    assert read_text(text).canonical_text == expected


@pytest.mark.parametrize(
    ("text", "is_english"),
    [
        ("What is the capital of Chile?", True),
        ("Design a data center with 3 floors", True),
        ("Design moderne pour une maison", False),
        ("Wie ist die Hauptstadt von Chile?", False),
        ("¿Cuál es la capital de Chile?", False),
        ("Voy a Madrid con mi perro", False),
        ("日本の首都はどこですか", False),
        ("12 + 3", False),
    ],
)
def test_english_is_recognized(text: str, is_english: bool) -> None:
    assert read_text(text).is_english is is_english


def test_requests_about_words_are_marked() -> None:
    assert read_text("Translate to French: see you soon").is_about_words
    assert read_text("Übersetze den Satz").is_about_words
    assert read_text("请翻译这句话").is_about_words
    assert not read_text("What is the capital of Chile?").is_about_words


def test_the_size_grows_with_the_text() -> None:
    assert read_text("What is the capital of Chile? " * 10).size_bytes > 5 * read_text("What is it?").size_bytes
