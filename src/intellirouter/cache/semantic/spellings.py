"""Spellings of one word: British and American, common misspellings that are not words, and short forms. Data only."""

from typing import Final

_SPELLINGS: Final = """
    colour:color colours:colors favourite:favorite favourites:favorites behaviour:behavior behaviours:behaviors
    honour:honor labour:labor neighbour:neighbor neighbours:neighbors humour:humor flavour:flavor flavours:flavors
    centre:center centres:centers theatre:theater metre:meter metres:meters litre:liter litres:liters grey:gray
    analyse:analyze analysing:analyzing organise:organize organising:organizing organisation:organization
    organisations:organizations realise:realize recognise:recognize optimise:optimize optimising:optimizing
    optimisation:optimization summarise:summarize summarising:summarizing visualise:visualize
    visualisation:visualization normalise:normalize normalisation:normalization initialise:initialize
    customise:customize memorise:memorize minimise:minimize maximise:maximize prioritise:prioritize
    travelling:traveling cancelled:canceled modelling:modeling labelled:labeled jewellery:jewelry catalogue:catalog
    dialogue:dialog defence:defense offence:offense aluminium:aluminum tyre:tire tyres:tires ageing:aging

    recieve:receive recieved:received seperate:separate seperated:separated definately:definitely occured:occurred
    untill:until wich:which teh:the thier:their alot:a_lot accomodate:accommodate adress:address begining:beginning
    beleive:believe calender:calendar commited:committed enviroment:environment existance:existence
    goverment:government grammer:grammar happend:happened immediatly:immediately independant:independent
    knowlege:knowledge neccessary:necessary noticable:noticeable occurence:occurrence posession:possession
    prefered:preferred publically:publicly recomend:recommend refered:referred relevent:relevant
    succesful:successful suprise:surprise tommorow:tomorrow truely:truly wierd:weird writting:writing
    algoritm:algorithm algorythm:algorithm fucntion:function funtion:function lenght:length heigth:height
    widht:width langauge:language languge:language programing:programming

    javascript:js typescript:ts kubernetes:k8s postgres:postgresql versus:vs tv:television okay:ok u:you
"""

SPELLINGS: Final = dict(entry.split(":") for entry in _SPELLINGS.split())
"""The spelling that is compared, by the other one. `_` separates words."""
