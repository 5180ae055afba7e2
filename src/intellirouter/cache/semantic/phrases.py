"""The words and phrases with which two texts may differ and still mean the same. Data only.

A difference that is not listed here is a difference. So every entry must be harmless in every context in which
`reading` applies it.
"""

from typing import Final

Phrase = tuple[str, ...]


def _phrases(text: str) -> tuple[Phrase, ...]:
    """Return the phrases of a list that is separated by commas, longest first."""
    found = (tuple(item.split()) for item in text.split(","))
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def _pairs(text: str) -> dict[str, str]:
    return dict(item.split(":") for item in text.split())


GREETINGS: Final = _phrases(
    "hi, hello, hey, hi there, hello there, hey there, good morning, good afternoon, good evening, greetings, hola, hallo,"
    "bonjour, salut, ciao, olá, guten tag, привет, здравствуйте"
)
POLITE_OPENINGS: Final = _phrases(
    "please, pls, plz, kindly, could you please, can you please, would you please, will you please, please could you,"
    "please can you, could you kindly, can you kindly, i would like you to, i want you to, i need you to,"
    "bitte, por favor, s'il vous plaît, s'il te plaît, per favore, пожалуйста"
)
"""Openings that are dropped in front of anything."""
REQUEST_OPENINGS: Final = _phrases("can you, could you, would you, will you, help me, can you help me, could you help me")
"""Openings that are dropped only in front of one of IMPERATIVES: `Can you swim?` is a question."""
SENTENCE_OPENINGS: Final = _phrases(
    "could you help me with this, can you help me with this, please help me with this, help me with this,"
    "i need help with this, quick question, just a quick question, i have a question, i have a quick question, question"
)
"""Openings that are dropped only if they are sentences, or end with a colon or comma."""
QUESTION_OPENINGS: Final = _phrases("tell me, can you tell me, could you tell me, do you know, please tell me")
"""Openings that are dropped only in front of one of QUESTION_WORDS."""
CLOSINGS: Final = _phrases(
    "please, pls, plz, thanks, thank you, thanks in advance, thank you in advance, thanks a lot, many thanks, thanks so much,"
    "thank you so much, thank you very much, thx, cheers, danke, vielen dank, danke im voraus, bitte, gracias, por favor,"
    "muchas gracias, merci, merci d'avance, grazie, obrigado, obrigada, спасибо, пожалуйста"
)
IMPERATIVES: Final = frozenset(
    "write explain give list show translate describe summarize summarise create make generate provide find suggest"
    " recommend compare convert fix draft compose define calculate compute solve prove design implement debug refactor"
    " review analyze analyse classify rewrite outline plan build optimize optimise name identify estimate".split()
)
QUESTION_WORDS: Final = frozenset("how what why when where who which".split())
CONTENT_TASKS: Final = frozenset(
    "translate translation say spell pronounce proofread paraphrase rephrase rewrite correct sentiment mean means reply"
    " respond continue complete word words phrase phrases count characters letters reverse repeat echo rhyme rhymes"
    " synonym synonyms sentence grammar".split()
)
"""With one of these words, a closing such as `thanks` may be what the request is about."""
PROPER_GREETINGS: Final = frozenset("world kitty jude fi fidelity ya neighbor neighbour".split())
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
OPENING_FRAMES: Final[tuple[tuple[Phrase, Phrase], ...]] = tuple(
    (tuple(long.split()), tuple(short.split()))
    for long, short in (
        ("what is the difference between", "difference between"),
        ("what are the differences between", "difference between"),
        ("what are the difference between", "difference between"),
        ("what is the differences between", "difference between"),
        ("explain the difference between", "difference between"),
        ("explain the differences between", "difference between"),
        ("give me a list of", "list"),
        ("show me a list of", "list"),
        ("provide a list of", "list"),
        ("provide me with a list of", "list"),
        ("make a list of", "list"),
        ("write a list of", "list"),
        ("give me an example of", "example of"),
        ("show me an example of", "example of"),
        ("give an example of", "example of"),
        ("provide an example of", "example of"),
        ("how do i", "how to"),
        ("how can i", "how to"),
        ("how could i", "how to"),
        ("how would i", "how to"),
        ("how does one", "how to"),
        ("how can one", "how to"),
        ("explain to me", "explain"),
        ("write me", "write"),
    )
)
"""Ways to begin a request, which ask for the same."""
SPELLINGS: Final = _pairs(
    "colour:color colours:colors favourite:favorite favourites:favorites behaviour:behavior behaviours:behaviors"
    " honour:honor labour:labor neighbour:neighbor neighbours:neighbors humour:humor flavour:flavor flavours:flavors"
    " centre:center centres:centers theatre:theater metre:meter metres:meters litre:liter litres:liters"
    " grey:gray analyse:analyze analysing:analyzing organise:organize organising:organizing organisation:organization"
    " organisations:organizations realise:realize recognise:recognize optimise:optimize optimising:optimizing"
    " optimisation:optimization summarise:summarize summarising:summarizing visualise:visualize"
    " visualisation:visualization normalise:normalize normalisation:normalization initialise:initialize"
    " customise:customize memorise:memorize minimise:minimize maximise:maximize prioritise:prioritize"
    " travelling:traveling cancelled:canceled modelling:modeling labelled:labeled jewellery:jewelry"
    " catalogue:catalog dialogue:dialog defence:defense offence:offense aluminium:aluminum tyre:tire tyres:tires"
    " ageing:aging"
    # Misspellings that are not words
    " recieve:receive recieved:received seperate:separate seperated:separated definately:definitely occured:occurred"
    " untill:until wich:which teh:the thier:their alot:a_lot accomodate:accommodate adress:address begining:beginning"
    " beleive:believe calender:calendar commited:committed enviroment:environment existance:existence goverment:government"
    " grammer:grammar happend:happened immediatly:immediately independant:independent knowlege:knowledge neccessary:necessary"
    " noticable:noticeable occurence:occurrence posession:possession prefered:preferred publically:publicly"
    " recomend:recommend refered:referred relevent:relevant succesful:successful suprise:surprise tommorow:tomorrow"
    " truely:truly wierd:weird writting:writing algoritm:algorithm algorythm:algorithm fucntion:function funtion:function"
    " lenght:length heigth:height widht:width langauge:language languge:language programing:programming"
    # Short forms
    " javascript:js typescript:ts kubernetes:k8s postgres:postgresql versus:vs tv:television okay:ok u:you"
)
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

ARTICLES: Final = _pairs("a:a an:a the:the")
NOT_AFTER_ARTICLES: Final = frozenset("few little lot most same number while bit".split())
"""Before these words an article changes the meaning: `few people`, `a few people`."""
BEFORE_ARTICLES: Final = IMPERATIVES | frozenset(
    "is was are be what to of in for with as from on at by like into about between and or than when if get make use have"
    " has had become becoming being buy sell start run learn reverse sort parse read implementing creating writing".split()
)
"""Words after which `a` is an article, and may be missing. After others it can be a name: `vitamin a`, `plan a`."""
ENGLISH_MARKS: Final = frozenset(
    "the what how why which does should with this and are write explain list where who when between your you is of to"
    " in for from that can do".split()
)
DISTINCT_ENGLISH: Final = frozenset(
    "the what how why which does should with this and are write explain where who when between your you that can".split()
)
"""Words that are English, and no common words of other languages that are written with the same letters."""
MOVABLE_OPENINGS: Final = frozenset({"in", "using", "with"})
"""`In Python, how …` is the same as `How … in Python`."""
CASE_MATTERS: Final = frozenset(
    "us it who aids polish turkey china march may august nice reading bath mobile swift rust go java jordan chad mercury"
    " apple windows word excel access office amazon orange shell target gap oracle signal slack teams zoom discord notion"
    " spring flask pandas express react next nest pages numbers keynote sketch basic scheme ruby scratch ada r c d".split()
)
"""Words that are something else with a capital letter, unless they begin a sentence."""

# How to name a difference
NEGATIONS: Final = frozenset(
    "not no never none nothing nobody neither nor without cannot unless except excluding hardly barely rarely".split()
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
    "km kilometers kilometres miles mile meters meter feet foot inches inch cm mm kg kilograms pounds pound lbs grams gram"
    " ounces ounce celsius fahrenheit kelvin liters liter gallons gallon seconds minutes hours days weeks months years"
    " dollars euros yen euro dollar rupees francs mb gb kb tb bytes bits percent".split()
)
LANGUAGES: Final = frozenset(
    "python java js ts go rust ruby php c kotlin swift scala perl haskell sql bash r matlab lua dart elixir"
    " english german french spanish italian portuguese dutch polish russian chinese japanese korean arabic hindi turkish"
    " swedish danish norwegian finnish greek czech hebrew vietnamese thai ukrainian latin".split()
)
DATES: Final = frozenset(
    "january february march april may june july august september october november december monday tuesday wednesday"
    " thursday friday saturday sunday today tomorrow yesterday spring summer autumn fall winter".split()
)
