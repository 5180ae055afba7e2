"""The words and phrases with which two texts may differ and still mean the same. Data only.

A difference that is not listed here is a difference. So every entry must be harmless in every context in which
`reading` applies it.
"""

from collections.abc import Iterable
from typing import Final

Phrase = tuple[str, ...]


Phrases = dict[str, tuple[Phrase, ...]]
"""Phrases by their first word, longest first."""


def _by_first_word(phrases: Iterable[Phrase]) -> Phrases:
    found: dict[str, list[Phrase]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        found.setdefault(phrase[0], []).append(phrase)
    return {word: tuple(group) for word, group in found.items()}


def _phrases(text: str) -> Phrases:
    """Return the phrases of a list that is separated by commas."""
    return _by_first_word(tuple(item.split()) for item in text.split(",") if item.strip())


def _by_last_word(text: str) -> Phrases:
    backwards = _by_first_word(tuple(reversed(item.split())) for item in text.split(",") if item.strip())
    return {word: tuple(phrase[::-1] for phrase in group) for word, group in backwards.items()}


def _pairs(text: str) -> dict[str, str]:
    return dict(item.split(":") for item in text.split())


GREETINGS: Final = _phrases(
    "hi, hello, hey, hi there, hello there, hey there, good morning, good afternoon, good evening, greetings,"
    "hola, hallo, bonjour, salut, ciao, olá, guten tag, привет, здравствуйте"
)
POLITE_OPENINGS: Final = _phrases(
    "please, pls, plz, kindly, could you please, can you please, would you please, will you please, please could you,"
    "please can you, could you kindly, can you kindly,"
    "bitte, por favor, s'il vous plaît, s'il te plaît, per favore, пожалуйста"
)
"""Openings that are dropped in front of anything."""
REQUEST_OPENINGS: Final = _phrases("can you, could you, would you, will you")
"""Openings that are dropped only in front of one of TEXT_IMPERATIVES: `Can you build a boat?` is a question."""
HELP_OPENINGS: Final = _phrases(
    "help me, can you help me, could you help me, would you help me, help me to, i would like you to, i want you to,"
    "i need you to"
)
"""Openings that are dropped only in front of one of IMPERATIVES."""
SENTENCE_OPENINGS: Final = _phrases(
    "could you help me with this, can you help me with this, please help me with this, help me with this,"
    "i need help with this, quick question, just a quick question, i have a question, i have a quick question, question"
)
"""Openings that are dropped only if they are sentences, or end with a colon or comma."""
QUESTION_OPENINGS: Final = _phrases("tell me, can you tell me, could you tell me, do you know, please tell me")
"""Openings that are dropped only in front of one of QUESTION_WORDS."""
CLOSINGS: Final = _by_last_word(
    "please, pls, plz, thanks, thank you, thanks in advance, thank you in advance, thanks a lot, many thanks,"
    "thanks so much, thank you so much, thank you very much, thx, cheers, danke, vielen dank, danke im voraus,"
    "bitte, gracias, por favor, muchas gracias, merci, merci d'avance, grazie, obrigado, obrigada, спасибо,"
    "пожалуйста"
)
IMPERATIVES: Final = frozenset(
    "write explain give list show translate describe summarize create make generate provide find suggest"
    " recommend compare convert fix draft compose define calculate compute solve prove design implement debug refactor"
    " review analyze classify rewrite outline plan build optimize name identify estimate".split()
)
TEXT_IMPERATIVES: Final = frozenset(
    "write explain list translate describe summarize provide suggest recommend draft compose define rewrite"
    " outline".split()
)
QUESTION_WORDS: Final = frozenset("how what why when where who which".split())
WORDS_ABOUT_WORDS: Final = frozenset(
    "translate translates translated translation translating say spell spelled spelling misspelled typo typos"
    " pronounce pronounced pronunciation proofread paraphrase rephrase rewrite sentiment word words phrase"
    " phrases characters letters echo rhyme rhymes synonym synonyms antonym antonyms sentence sentences"
    " grammar grammatical grammatically syllable syllables anagram uppercase lowercase capitalize capitalized"
    " capitalization contraction abbreviation acronym apostrophe hyphen punctuation comma commas".split()
)
"""With one of these words, a request may be about its own words: `How do you spell color?`."""
TRANSLATION_STEMS: Final = tuple("übersetz traduc tradui traduz tradur vertaal çevir перевед przetłumacz".split())
TRANSLATION_CHARACTERS: Final = tuple("翻译 翻譯 訳して 翻訳 번역 ترجم".split())
"""To translate, in languages other than English; for scripts without spaces, anywhere in the text."""
AFTER_GREETINGS: Final = (
    QUESTION_WORDS
    | IMPERATIVES
    | frozenset("i please can could would will should do does did is are am in if tell help need".split())
)
"""Words with which an English request begins, also directly after a greeting."""
PROPER_GREETINGS: Final = frozenset("world kitty jude fi fidelity ya neighbor".split())
"""`Hello world` and `Hey Jude` do not begin with a greeting."""

CONTRACTIONS: Final[dict[str, Phrase]] = {
    word: tuple(full.split("_"))
    for word, full in _pairs(
        "what's:what_is whats:what_is how's:how_is where's:where_is who's:who_is when's:when_is why's:why_is"
        " that's:that_is there's:there_is here's:here_is it's:it_is i'm:i_am you're:you_are we're:we_are"
        " they're:they_are i've:i_have you've:you_have we've:we_have they've:they_have i'll:i_will you'll:you_will"
        " it'll:it_will don't:do_not dont:do_not doesn't:does_not doesnt:does_not didn't:did_not didnt:did_not"
        " isn't:is_not isnt:is_not aren't:are_not wasn't:was_not weren't:were_not can't:can_not cannot:can_not"
        " couldn't:could_not won't:will_not wouldn't:would_not shouldn't:should_not haven't:have_not hasn't:has_not"
        " hadn't:had_not mustn't:must_not needn't:need_not let's:let_us"
    ).items()
}
_FRAMES: Final = {
    "difference between": (
        "what is the difference between, what are the differences between, what is difference between,"
        "what are the difference between, what is the differences between, what are differences between,"
        "explain the difference between, explain the differences between, tell me the difference between"
    ),
    "list": "give me a list of, show me a list of, provide a list of, provide me with a list of",
    "example of": "give me an example of, show me an example of, give an example of, provide an example of",
    "how to": "how do i, how can i, how does one, how can one",
    "what are some": "what are some of the",
    "what is the best": "which is the best",
    "what are the best": "which are the best",
    "explain": "explain to me",
    "write": "write me",
}
FRAMES: Final = {
    tuple(long.split()): tuple(short.split()) for short, ways in _FRAMES.items() for long in ways.split(",")
}
"""Ways to begin a request, and the shortest way to ask for the same."""
FRAMES_BY_FIRST_WORD: Final = _by_first_word(FRAMES)
NUMBER_WORDS: Final = _pairs(
    "two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11 twelve:12 thirteen:13 fourteen:14"
    " fifteen:15 sixteen:16 seventeen:17 eighteen:18 nineteen:19 twenty:20 thirty:30 forty:40 fifty:50 sixty:60"
    " seventy:70 eighty:80 ninety:90"
)
"""`one` is missing: it is also a pronoun."""
NUMBER_PARTS: Final = frozenset(
    {*NUMBER_WORDS, *"one hundred thousand million billion trillion dozen half quarter third point and".split()}
)
"""Words next to which a number word is not a number of its own, as in `two hundred`."""

ARTICLES: Final = frozenset({"a", "an", "the"})
BEFORE_THE: Final = frozenset("in of for to on at by from with between about into through during".split())
"""Words after which `the` may be missing. After others it can change the meaning: `What is (the) time?`."""
BEFORE_A: Final = (
    BEFORE_THE
    | IMPERATIVES
    | frozenset("is was are be what like as and or than when get make use have has had become build buy run".split())
)
"""Words after which `a` is an article and may be missing. After others it can be a name: `vitamin a`, `plan a`."""
DISTINCT_ENGLISH: Final = (
    frozenset(word for word in CONTRACTIONS if "'" in word)
    | (IMPERATIVES - {"plan", "fix", "design", "estimate", "name", "compare"})
    | frozenset(
        "the what how why which does should with this and are where who when between your you that can it would could"
        " using about into than each every there their has been these those from".split()
    )
)
"""Words that are English, and no common words of other languages with the same letters."""
ENGLISH_MARKS: Final = (
    DISTINCT_ENGLISH | IMPERATIVES | frozenset("a an is of to in for do on as at or if my i me by be".split())
)
FOREIGN_MARKS: Final = frozenset(
    "der die das und nicht ein eine wie ist mit von el los las una por para como est une les des pour dans avec il che"
    " non per sono come di da um uma com os het een voor niet och att det som jest nie jak ve bir".split()
)
MOVABLE_OPENINGS: Final = frozenset({"in", "using", "with"})
"""`In Python, how …` is the same as `How … in Python`."""
CASE_MATTERS: Final = frozenset(
    "us it who aids polish turkey china march may august nice reading bath mobile swift rust go java jordan"
    " chad mercury apple windows word excel access office amazon orange shell target gap oracle signal slack"
    " teams zoom discord notion spring flask pandas express react next nest pages numbers keynote sketch basic"
    " scheme ruby scratch ada r c d".split()
)
"""Words that are something else with a capital letter, unless they begin a sentence."""

NOT_AFTER_ARTICLES: Final = CASE_MATTERS | frozenset("few little lot most same number while bit".split())
"""Before these words an article changes the meaning: `few people`, `a few people`; `the who`, `who`."""

# How to name a difference
NEGATIONS: Final = frozenset(
    "not no never none nothing neither nor without cannot unless except excluding hardly barely rarely".split()
)
QUANTIFIERS: Final = frozenset(
    "all any some every each most many few several both either half only just always often sometimes usually least"
    " first last once twice another other".split()
)
COMPARATORS: Final = frozenset(
    "more less fewer greater smaller larger bigger higher lower above below over under before after older younger"
    " faster slower min max minimum maximum than better worse best worst longest shortest highest lowest".split()
)
QUESTIONS: Final = frozenset("who whom whose what which when where why how".split())
UNITS: Final = frozenset(
    "km kilometers kilometres miles mile meters meter feet foot inches inch cm mm kg kilograms pounds pound"
    " lbs grams gram ounces ounce celsius fahrenheit kelvin liters liter gallons gallon seconds minutes hours"
    " days weeks months years dollars euros yen euro dollar rupees francs mb gb kb tb bytes bits percent".split()
)
LANGUAGES: Final = frozenset(
    "python java js ts go rust ruby php c kotlin swift scala perl haskell sql bash r matlab lua dart elixir"
    " english german french spanish italian portuguese dutch polish russian chinese japanese korean arabic"
    " hindi turkish swedish danish norwegian finnish greek czech hebrew vietnamese thai ukrainian latin".split()
)
DATES: Final = frozenset(
    "january february march april may june july august september october november december monday tuesday wednesday"
    " thursday friday saturday sunday today tomorrow yesterday spring summer autumn fall winter".split()
)
