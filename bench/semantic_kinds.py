"""Pairs of requests for the semantic cache: kinds that need different answers, and rewrites that need the same one.

The pairs are made of templates. `python -m bench.semantic_cache` reports every kind; the tests check all of them.
"""

from collections.abc import Iterable, Iterator
from itertools import permutations, product
from typing import Final

Pair = tuple[str, str]


def _swapped(templates: Iterable[str], words: Iterable[tuple[str, str]]) -> list[Pair]:
    """Return each template with the two words of each pair in both orders."""
    return [
        (template.format(a=one, b=other), template.format(a=other, b=one))
        for template, (one, other) in product(templates, words)
    ]


def _replaced(templates: Iterable[str], words: Iterable[tuple[str, str]]) -> list[Pair]:
    """Return each template with the one and with the other word of each pair."""
    return [(template.format(one), template.format(other)) for template, (one, other) in product(templates, words)]


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of a list: one pair per line, separated by ` | `."""
    lines = (line.split(" | ") for line in text.strip().splitlines())
    return [(line[0].strip(), line[1].strip()) for line in lines]


def _permuted(templates: Iterable[str], words: str) -> list[Pair]:
    """Return each template with every ordered pair of the words."""
    return [
        (template.format(one), template.format(other))
        for template, (one, other) in product(templates, permutations(words.split(), 2))
        if one < other
    ]


_PEOPLE: Final = [("Alice", "Bob"), ("Maria", "Tom"), ("the buyer", "the seller"), ("Rome", "Carthage")]

DIFFERENT: Final[dict[str, list[Pair]]] = {
    "role swap": _swapped(
        (
            "How much does {a} owe {b}?",
            "Write a note in which {a} thanks {b}.",
            "Did {a} sue {b} or was it settled?",
            "Why did {a} attack {b}?",
            "Explain why {a} should trust {b}.",
        ),
        _PEOPLE,
    ),
    "direction": _swapped(
        (
            "Convert {a} to {b} with an example.",
            "How do I migrate a project from {a} to {b}?",
            "How far ahead is {a} compared with {b}?",
            "What is lost when going from {a} to {b}?",
            "Write a script that copies data from {a} to {b}.",
        ),
        [("MySQL", "PostgreSQL"), ("celsius", "fahrenheit"), ("JSON", "YAML"), ("miles", "kilometers"), ("AWS", "Azure")],
    ),
    "unit": _replaced(
        ("What is the height of Mont Blanc in {}?", "Convert 20 gallons and give the result in {}.", "A speed limit in {}."),
        _pairs(
            "meters | feet\nkilometers | miles\nliters | gallons\nseconds | minutes\nkg | pounds\ngrams | ounces\nMB | GB"
            "\ncelsius | kelvin"
        ),
    ),
    "number format": _pairs(
        """What is 10² plus 5? | What is 102 plus 5?
        What is 5! divided by 4? | What is 5 divided by 4?
        How much is -5 plus 3? | How much is 5 plus 3?
        How much is .5 of a cup? | How much is 5 of a cup?
        Round 1,234 to hundreds. | Round 1.234 to hundreds.
        Is 3/4 more than 0.7? | Is 3.4 more than 0.7?
        What does 5-10 mean here? | What does 510 mean here?
        Compute f(1,200) for this sum. | Compute f(1200) for this sum.
        Is 1e3 a large number? | Is 13 a large number?
        What is 2^10 in words? | What is 210 in words?
        What is 7 % of 300? | What is 7 of 300?
        Add ½ cup to the recipe for bread. | Add 2 cup to the recipe for bread.
        Is the 1st edition rare? | Is the 1 edition rare?
        Is 12:30 a good time to eat? | Is 1230 a good time to eat?
        Solve x < 5 for x. | Solve x > 5 for x.
        Solve x + 2 = 5 please. | Solve x - 2 = 5 please.
        What is the value of A - B here? | What is the value of A B here?
        What is f'(x) for this function? | What is f(x) for this function?
        Explain 0x10 to me. | Explain 10 to me.
        What is 5 MB in bits? | What is 5 Mb in bits?
        Is 2 hundred a lot? | Is 200 hundred a lot?"""
    ),
    "tense": _replaced(
        ("Who {} the president of Brazil?", "Where {} the headquarters of the company?", "What {} the price of the ticket?"),
        _pairs("is | was\nwas | will be\nis | will be\nis | used to be\nwas | has been\nis | had been\nwill be | would be"),
    ),
    "tense of a verb": _pairs(
        """What does the bank offer to students? | What did the bank offer to students?
        How do people travel across the desert? | How did people travel across the desert?
        Which planets have rings? | Which planets had rings?
        Where do the pandas live? | Where did the pandas live?
        How does Spain elect its king? | How did Spain elect its king?
        Who wins the cup? | Who won the cup?
        Who leads the party? | Who led the party?
        What causes the flood? | What caused the flood?
        What happens in the story? | What happened in the story?
        Why are wolves hunted? | Why were wolves hunted?
        Who runs the company? | Who ran the company?
        Who makes the engine? | Who made the engine?
        What is being built there? | What was being built there?
        What has changed in the law? | What will change in the law?
        How do plants grow in the shade? | How did plants grow in the shade?
        Does the treaty protect whales? | Did the treaty protect whales?
        What do monks eat? | What did monks eat?
        Which team plays in red? | Which team played in red?
        Who writes the speeches? | Who wrote the speeches?
        Is the museum free? | Was the museum free?"""
    ),
    "quantifier": _replaced(
        (
            "Delete {} files in the folder.",
            "Do {} birds fly south in winter?",
            "Which rule applies if {} members agree?",
            "Show the rows where {} columns are empty.",
        ),
        _pairs("all | some\nall | most\nsome | no\nmany | few\nboth | either\nfew | a few"),
    ),
    "direction of a comparison": _replaced(
        (
            "Is a cheetah {} than a horse?",
            "Filter the prices that are {} than 100.",
            "Which cities are {} than Lyon?",
            "Why would a shop want {} rent than before?",
        ),
        _pairs("faster | slower\nmore | less\nhigher | lower\ncheaper | dearer\nlarger | smaller\nolder | younger"),
    ),
    "date": _replaced(
        (
            "What happened in history on {}?",
            "Which holidays fall on {}?",
            "Write an invitation for {} at noon.",
        ),
        _pairs(
            "May 5 | May 6\n3 June 1990 | 3 July 1990\n2023-01-05 | 2023-05-01\nMonday | Tuesday\n12/11/2020 | 11/12/2020"
            "\nthe 1st of March | the 2nd of March\nspring 1914 | autumn 1914"
        ),
    ),
    "version": _replaced(
        ("What is new in {}?", "How do I install {} on Ubuntu?", "Is {} still supported by its authors?"),
        _pairs(
            "Python 3.10 | Python 3.1\nPython 2 | Python 3\nNode v18.2 | Node v18.20\nUSB 2.0 | USB 3.0\nHTTP/1.1 | HTTP/2"
            "\niOS 16 | iOS 17\nGPT-4 | GPT-4o\nES5 | ES6"
        ),
    ),
    "singular and plural": _pairs(
        """Who won the award? | Who won the awards?
        Name the largest planet. | Name the largest planets.
        Which country borders Chile? | Which countries border Chile?
        Give me a joke about cats. | Give me jokes about cats.
        What is the best book on chess? | What are the best books on chess?
        Write a test for this function. | Write tests for this function.
        Who is the author of the paper? | Who are the authors of the paper?
        Suggest a name for my dog. | Suggest names for my dog.
        Name a river in France. | Name rivers in France.
        What is the symptom of measles? | What are the symptoms of measles?
        Which player scored? | Which players scored?
        Draw a tree in text. | Draw trees in text.
        Describe the law of motion. | Describe the laws of motion.
        Write a haiku about rain. | Write haikus about rain.
        Explain the rule of the game. | Explain the rules of the game.
        Who was the wife of Henry? | Who were the wives of Henry?
        Recommend a movie with a robot. | Recommend movies with a robot.
        What is the ingredient of paella? | What are the ingredients of paella?
        What did the analyst say? | What did the analysts say?
        What does the law require of an employer? | What do the laws require of an employer?"""
    ),
    "place": _permuted(
        ("What is the tax rate in {}?", "Plan a weekend in {} with children.", "How many people live in {}?"),
        "Austria Australia Iran Iraq Niger Nigeria",
    ),
    "file name": _replaced(
        ("Delete {} and commit.", "What does {} contain by convention?", "Why is {} not found?"),
        _pairs(
            "config.yaml | config.yml\nsrc/main.py | src/main.pyi\ntest_a.py | test_b.py\n/etc/hosts | /etc/host"
            "\nREADME.md | readme.md\n.env | env\nindex.js | index.jsx"
        ),
    ),
    "identifier": _replaced(
        ("What does {} return?", "Rename the variable {} to something clear.", "Is calling {} twice an error?"),
        _pairs(
            "getUserName | getUsername\nuser_id | user_ids\n`x1` | `x2`\narr[i] | arr[j]\nmap() | flatMap()\nis_valid | is_invalid"
            "\nSIGTERM | SIGKILL\ni++ | ++i"
        ),
    ),
    "negation moved": _pairs(
        """I did not say he stole it. What do I mean? | I did say he did not steal it. What do I mean?
        Try not to run the tests. | Do not try to run the tests.
        Is it legal not to vote? | Is it not legal to vote?
        Not all birds can fly, can they? | All birds can not fly, can they?
        Why is it good not to sleep late? | Why is it not good to sleep late?
        Tell them you can not come. | Do not tell them you can come.
        She really does not like it. Explain. | She does not really like it. Explain.
        I am not sure that it works. Why? | I am sure that it does not work. Why?
        Choose not to pay the fee. | Do not choose to pay the fee.
        Can a model not learn? | Can not a model learn?
        Explain why you would not always use it. | Explain why you would always not use it.
        Pretend not to know the answer. | Do not pretend to know the answer.
        It is important not to win. Why? | It is not important to win. Why?
        He decided not to ask her to leave. | He decided to ask her not to leave.
        I was told not to call. | I was not told to call.
        Allow users not to log in. | Do not allow users to log in.
        They agreed not to sell. | They did not agree to sell.
        We need not to worry about it now. | We need to not worry about it now.
        Return rows that are not null and empty. | Return rows that are null and not empty.
        Match lines that start with a and not b. | Match lines that do not start with a and b."""
    ),
    "negation": _pairs(
        """Is it safe to mix bleach and vinegar? | Is it unsafe to mix bleach and vinegar?
        It is not impossible to do it. Why? | It is impossible to do it. Why?
        Is it not uncommon to see that? | Is it uncommon to see that?
        Which foods contain gluten? | Which foods contain no gluten?
        Do I need a visa for Peru? | Don't I need a visa for Peru?
        Who can vote in this case? | Who can't vote in this case?
        Is the algorithm stable? | Is the algorithm unstable?
        Why is he happy with the deal? | Why is he unhappy with the deal?
        Which metals are magnetic? | Which metals are nonmagnetic?
        Sort with recursion. | Sort without recursion.
        I have nothing against it. Reply. | I have something against it. Reply.
        Nobody came to the party. Why? | Everyone came to the party. Why?
        I always lock the door. Good? | I never lock the door. Good?
        Is the contract valid? | Is the contract invalid?
        Is it legal to record calls? | Is it illegal to record calls?
        Should I agree to the terms? | Should I disagree to the terms?
        Why does the code work? | Why doesn't the code work?
        What could be done about it? | What couldn't be done about it?
        Is there any proof of it? | Is there no proof of it?
        Which drugs are approved? | Which drugs are not approved?"""
    ),
    "currency": _replaced(
        ("How much is 100 {} worth?", "Quote the price in {} only.", "How do I write {} in words on a cheque?"),
        _pairs("dollars | euros\nyen | yuan\nUSD | CAD\n$5 | €5\nrupees | rubles\npounds | pesos\nCHF | SEK"),
    ),
    "who and whom": _replaced(
        (
            "{} did the company sue?",
            "{} was the prize given to?",
            "{} did they move the capital?",
            "{} is the meeting about budgets?",
        ),
        _pairs("Who | Whom\nWhen | Why\nWhere | Why\nHow | Why\nWhen | Where\nWhat | Why"),
    ),
    "except and including": _replaced(
        (
            "List the EU members {} Malta.",
            "Total the invoices {} taxes.",
            "Copy the folder {} hidden files.",
            "Which fruits can a dog eat {} grapes?",
        ),
        _pairs(
            "except | including\nwith | without\nexcluding | including\nbesides | without\nand | or\nplus | minus"
        ),
    ),
    "before and after": _replaced(
        (
            "Should I eat {} training?",
            "Which kings ruled {} Henry VIII?",
            "Run the script {} the build.",
            "What did people use {} the war?",
        ),
        _pairs("before | after\nduring | after\nuntil | after\nsince | before\nright before | long before"),
    ),
    "minimum and maximum": _replaced(
        (
            "Find the {} value of the list.",
            "What is the {} age for this job?",
            "Give the {} number of moves in the puzzle.",
            "Which route has the {} cost?",
        ),
        _pairs("minimum | maximum\nlowest | highest\nfirst | last\nbest | worst\nmin | max\naverage | median"),
    ),
    "add and remove": _replaced(
        (
            "How do I {} a column in SQL?",
            "Write a command that will {} the service.",
            "How can I {} a user in Linux?",
            "Explain how to {} notifications on a phone.",
        ),
        _pairs("add | remove\nenable | disable\nstart | stop\nlock | unlock\nimport | export\nopen | close"),
    ),
    "name in lower case": _replaced(
        ("tell me about {} in short", "what is {} known for", "write a story about {} and a dragon"),
        _pairs(
            "maria | mario\nturkey | turquoise\nmarian | marina\nthe who | who\nvitamin a | vitamin\nhepatitis a | hepatitis b"
            "\nplan b | plan a\nbrain | brian"
        ),
    ),
    "capital letter": _replaced(
        ("How do I clean {} at home?", "Where can I find {} on a map?", "My friend likes {} a lot, why?"),
        _pairs("Polish | polish\nWindows | windows\nChina | china\nTurkey | turkey\nApple | apple\nExcel | excel\nRust | rust"),
    ),
    "similar word": _replaced(
        ("Explain the word {} to a child.", "What is the effect of {} on plants?", "Is {} common in the sea?"),
        _pairs(
            "sulfate | sulfite\ninsulin | inulin\ndesert | dessert\ntrial | trail\nangel | angle\ncasual | causal\ncat | car"
            "\nhypertension | hypotension"
        ),
    ),
    "scope of a constraint": _pairs(
        """Write a poem about the sea. | Write a short poem about the sea.
        Explain gravity to a student. | Explain gravity to a child.
        List the planets. | List the planets in order of size.
        Summarize the plot of Hamlet. | Summarize the plot of Hamlet in one sentence.
        Write a cover letter. | Write a formal cover letter.
        Answer in French: what is rain? | Answer: what is rain?
        Give me five ideas for dinner. | Give me five vegan ideas for dinner.
        How do I boil eggs? | How do I boil eggs at high altitude?
        What is the boiling point of water? | What is the boiling point of salt water?
        Return the result as JSON. | Return the result as JSON with comments.
        Write a sorting function. | Write a sorting function in place.
        What are the rules of golf? | What are the rules of mini golf?
        Is aspirin safe? | Is aspirin safe for dogs?
        Is it healthy to run daily? | Is it healthy to run daily at 70?
        Plan a trip to Japan. | Plan a cheap trip to Japan.
        What do cats eat? | What do big cats eat?
        Explain how a bill becomes a law. | Briefly explain how a bill becomes a law.
        Write an essay on rivers. | Write an outline of an essay on rivers.
        How can I lose weight? | How can I lose weight fast?
        Draft a tweet about our launch. | Draft a tweet about our launch without emojis."""
    ),
    "content that looks polite": _pairs(
        """Translate to German: I am late. Thanks! | Translate to German: I am late.
        How do you say good night, please? | How do you say good night?
        Spell the word thanks | Spell the word
        Reverse the text: hello there thanks | Reverse the text: hello there
        Hello world program in C | World program in C
        Hello Kitty history for kids | Kitty history for kids
        Hey Jude chords for guitar | Jude chords for guitar
        Correct this sentence: he go home thanks | Correct this sentence: he go home
        Count the words: we are here thank you | Count the words: we are here
        Rewrite it politely: send the file please | Rewrite it politely: send the file
        Can you swim after eating? | Swim after eating?
        What does please mean? | What does mean?
        Continue the text: and then he said thanks | Continue the text: and then he said
        Paraphrase: we are sorry. Thank you. | Paraphrase: we are sorry.
        Do you know who Bach was? | Do you know when Bach was?
        Is "thank you" formal English? | Is formal English?
        Echo: see you soon. Cheers | Echo: see you soon.
        Repeat after me: good morning. Please. | Repeat after me: good morning.
        What rhymes with say? Thanks | What rhymes with say thanks?
        Hi-fi systems under 500 euros | Fi systems under 500 euros"""
    ),
    "other languages": _pairs(
        """Wie alt ist der Papst? | Wie alt war der Papst?
        Ist das Essen gut? | Ist das essen gut?
        Schreibe ein Gedicht mit Reimen. | Schreibe ein Gedicht ohne Reime.
        ¿Cuál es la capital de Perú? | ¿Cuál es la capital de Chile?
        ¿Dónde está el baño? | ¿Cuándo está el baño?
        Voy a pagar la cuenta. ¿Y tú? | Voy pagar la cuenta. ¿Y tú?
        Quelle est la langue du Mali ? | Quelle est la langue du Tchad ?
        Où vas-tu ce soir ? | Ou vas-tu ce soir ?
        Il a mangé la pomme. | Il a mangé le pomme.
        Qual è il fiume più lungo? | Qual è il fiume più corto?
        Qual é o maior país? | Qual é o menor país?
        Сколько лет Москве? | Сколько лет Минску?
        Он купил дом. Когда? | Он продал дом. Когда?
        日本の首都はどこですか | 中国の首都はどこですか
        この文を英語に訳してください | この文を仏語に訳してください
        猫は泳げますか | 猫は泳げませんか
        如何安装软件 | 如何卸载软件
        今年有几个月 | 今年有几个星期
        한국의 수도는 어디입니까 | 북한의 수도는 어디입니까
        ما هي عاصمة مصر؟ | ما هي عاصمة قطر؟
        Jaka jest stolica Polski? | Jaka była stolica Polski?
        Türkiye'nin başkenti neresi? | Suriye'nin başkenti neresi?"""
    ),
}
"""Pairs that look alike and need different answers, by kind."""

SAME: Final[dict[str, list[Pair]]] = {
    "polite words": [
        (text, opening + text[0].lower() + text[1:])
        for text, opening in product(
            (
                "Explain how a heat pump works.",
                "What is the tallest mountain in Africa?",
                "Write a regular expression for dates.",
                "How do I center a div?",
            ),
            ("Please ", "Hi, ", "Hello! ", "Could you please ", "Hey there, "),
        )
    ],
    "thanks": [
        (text, f"{text} {closing}")
        for text, closing in product(
            ("Why is the sky blue?", "List the noble gases.", "Sort a list in Rust.", "Wie funktioniert ein Motor?"),
            ("Thanks!", "Thank you very much.", "Thanks in advance", "Please."),
        )
    ],
    "case and punctuation": [
        (text, text.lower().rstrip(".?"))
        for text in (
            "What is the capital of France?",
            "How do I install Docker on Ubuntu?",
            "Who wrote The Old Man and the Sea?",
            "Explain the theory of relativity.",
            "Write a SQL query that counts orders.",
            "Où se trouve la tour Eiffel ?",
            "Wie wird das Wetter in Berlin gemessen?",
            "What is the GDP of Japan?",
        )
    ],
    "contractions": _pairs(
        """What's the capital of France? | What is the capital of France?
        Why doesn't my code compile? | Why does not my code compile?
        Who's the author of Dune? | Who is the author of Dune?
        I can't open the file. Why? | I cannot open the file. Why?
        How dont birds fall? | How don’t birds fall?"""
    ),
    "ways to ask": _pairs(
        """How do I reverse a list in Python? | How can I reverse a list in Python?
        How to reverse a list in Python? | How do I reverse a list in Python?
        In Python, how do I reverse a list? | How do I reverse a list in Python?
        Can you explain entropy to a child? | Explain entropy to a child.
        Tell me how batteries work. | How batteries work.
        What is the difference between TCP and UDP? | What are the differences between TCP and UDP?
        Give me a list of prime numbers below 50. | List prime numbers below 50.
        What is a light-year? | What is light year?"""
    ),
    "spelling": _pairs(
        """What colour is the sun? | What color is the sun?
        How do I organise my files? | How do I organize my files?
        Write a fucntion that adds two numbers. | Write a function that adds 2 numbers.
        Explain the enviroment of a fish. | Explain the environment of a fish.
        What is 10 percent of 90? | What is 10% of 90?
        Write a javascript loop. | Write a JS loop.
        How many people is 1,000,000 people? | How many people is 1000000 people?"""
    ),
    "typing errors": _pairs(
        """Explain the theory of relativity. | Explain the thoery of relativity.
        What is geothermal energy? | What is goethermal energy?
        How does a combustion engine work? | How does a combustion egnine work?
        Write a function that sorts numbers. | Write a function that sotrs numbers.
        What is the recommended dosage? | What is the reccommended dosage?"""
    ),
}
"""Pairs that need the same answer, by kind."""


def all_pairs(kinds: dict[str, list[Pair]]) -> Iterator[tuple[str, str, str]]:
    """Yield kind and texts of all pairs."""
    for kind, pairs in kinds.items():
        for one, other in pairs:
            yield kind, one, other
