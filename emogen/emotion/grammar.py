"""A little English grammar: words of function, forms of verbs, articles, and places where words are missing."""

from __future__ import annotations

import re

from emogen.emotion.evidence import word_set


def forms(**words: str) -> dict[str, str]:
    """Word -> its form."""
    return {word: form for form, text in words.items() for word in text.split()}


BE = forms(s="is isn't 's", base="are aren't am be 're 'm", past="was were wasn't weren't been", ing="being")
LINK = forms(
    s="looks seems appears feels becomes gets remains stays grows acts",
    base="look seem appear feel become get remain stay grow act",
    past="looked seemed appeared felt became got remained stayed grew acted",
    ing="looking seeming appearing feeling becoming getting growing",
)
SHOW = forms(
    s="shows expresses displays conveys hides wears gives has flashes bears experiences radiates feels",
    base="show express display convey hide wear give have flash bear experience radiate feel",
    past="showed expressed displayed hid wore gave had flashed bore experienced radiated felt",
    ing="showing expressing displaying conveying hiding wearing having flashing bearing radiating feeling",
)
FORMS = {
    "appear": {"s": "appears", "base": "appear", "past": "appeared", "ing": "appearing"},
    "look": {"s": "looks", "base": "look", "past": "looked", "ing": "looking"},
    "think": {"s": "thinks", "base": "think", "past": "thought", "ing": "thinking"},
    "face": {"s": "faces", "base": "face", "past": "faced", "ing": "facing"},
    "come": {"s": "comes", "base": "come", "past": "came", "ing": "about"},
    "know": {"s": "knows", "base": "know", "past": "knew", "ing": "aware"},
}
"""Neutral verbs that take the place of an emotion; after "is", two of them become adjectives ("is about to")."""

DETERMINERS = word_set(
    "a an the his her its their my our your this that these those some any no each every one two three four several "
    "many"
)
SUBJECTS = word_set("he she they it we i you who everyone everybody nobody someone which")
OBJECTS = word_set("him me us them it")
PREPOSITIONS = word_set(
    "in on at to from for over under during before after by with near across through of about beside behind between "
    "inside outside around against along above below among next into onto toward towards without within beyond past "
    "despite"
)
CONJUNCTIONS = word_set(
    "and but or yet as while when because since if until where whenever though although so than that who which"
)
ADVERBS = word_set(
    "today now again here there together outside inside away alone too also anymore yesterday tonight then everywhere"
)
AUXILIARIES = word_set(
    "is are was were be been am has have had do does did will would can could may might must should not does doesn't "
    "don't didn't won't can't cannot"
)
FUNCTION = DETERMINERS | SUBJECTS | OBJECTS | PREPOSITIONS | CONJUNCTIONS | ADVERBS | AUXILIARIES
NOUNS_ON_LY = word_set("family butterfly lily bully jelly belly fly dragonfly assembly ally reply supply elderly")
TIRED = word_set("tired relaxed exhausted bored interested crowded")
IRREGULAR = word_set("shook ran sat stood went took fell threw")
FILLS = word_set(
    "fills spreads radiates grips washes overcomes rises erupts takes floods grows hangs lingers shows is was"
)

DEGREES = (
    r"(?:very|so|quite|really|extremely|too|deeply|visibly|clearly|not|never|more|most|rather|pretty|absolutely|"
    r"completely|totally|a (?:little )?bit|a little|somewhat|slightly|truly|still|now|always|suddenly|no longer|"
    r"increasingly|incredibly|obviously)\s+"
)
MANNER = (
    r"\s+(?:broadly|brightly|softly|gently|loudly|widely|hysterically|uncontrollably|warmly|sweetly|quietly|hard)\b"
)
PART = (  # "on her face" belongs to "a smile"
    r"(?:\s+(?:streaming|running|rolling|falling|welling))?\s+(?:in|on|across|from|down|over)\s+(?:his|her|its|their|the)\s+(?:\w+\s+)?"
    r"(?:faces?|eyes?|cheeks?|lips|mouth|voice|hearts?)\b"
)
OF = (  # and "a sense of" to "joy"
    r"(?:(?:a|an|the|his|her|its|their)\s+)?(?:\w+\s+)?"
    r"(?:sense|feelings?|air|mixture|mix|touch|hint|moment|wave|burst|fit|tears)\s+of\s+"
)
ADJ = (
    r"(?:(?:big|huge|wide|great|pure|deep|bright|warm|slight|small|little|sudden|intense|utter|broad|soft|loud|gentle|"
    r"sheer|much|strong|quiet)\s+)*"
)
ARTICLE = r"\b(?:a|an|the|his|her|its|their|no|some|my|your|our)\s+(?:\w+\s+)?$"
LEAD = (
    r"\b(?:full of|(?:filled|overcome|overwhelmed|gripped|bursting|beaming|consumed|struck) (?:with|by)|out of|with|in|"
    r"of|from|by|into|without|for|through|to)\s+$"
)
TOWARDS = {
    **forms(look="at toward towards"),
    **forms(think="of about over"),
}
"""Preposition -> the neutral verb that goes with it."""

GOVERNED = word_set("at of about by to")

CAUSE = re.compile(r"\b(?:make|makes|made|making)\s+(?:\w+\s+){1,3}$", re.IGNORECASE)
SHORT_BE = re.compile(r"\b(?:he|she|it|they|we|i|you|who)(['\u2019](?:s|re|m))\s+$", re.IGNORECASE)
LISTED = re.compile(r"\b(?:an?|the|his|her|its|their|two|three|some)\s+[\w-]+\s*(,|and)\s*$", re.IGNORECASE)
"""An adjective before another, as in "a big, happy dog"."""

BEGIN = re.compile(r"\b(?:(?:start|begin|keep|stop|continue)(?:s|ed|ing|ning|ping)?|began|kept)\s+$", re.IGNORECASE)
TEMPLATE = re.compile(r'\s*the video is in the\s+"(?P<word>\w+)"\s+emotion\b\.?', re.IGNORECASE)


def with_article(left: str, right: str) -> str:
    """The text before a place with "a" or "an" at its end set right for the word that comes next."""
    match = re.search(r"\b([Aa])n?\s*$", left)
    word = re.match(r"\w+", right)
    if match is None or word is None:
        return left
    return f"{left[: match.start()]}{match[1]}{'n' if takes_an(word[0]) else ''}"


def takes_an(word: str) -> bool:
    """Whether "an" goes before a word, by its sound as far as spelling tells."""
    word = word.lower()
    if re.match(r"hour|honest|honou?r|heir", word):
        return True
    return word[0] in "aeiou" and not re.match(r"uni(?!n)|us[eu]|eu|one\b|once\b|ute", word)


def tidy(text: str, source: str) -> str:
    """Spaces and punctuation after edits."""
    text = re.sub(r"[(\[\"\u201c]\s*[)\]\"\u201d]", "", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
    text = re.sub(r"[,;:]\s*(?=[.!?])", "", text)
    text = re.sub(r"(?<=[.!?])\s+[.!?]", "", text).strip(" ,;:")
    text = "" if not re.search(r"\w", text) else text.lstrip(" .!?")
    return text[:1].upper() + text[1:] if source.lstrip()[:1].isupper() else text


HARMS = re.compile(
    r"\b(?:a|an|the|his|its|their|my|very|so|and|but|or|with|of|in|at|by|for|from|to|is|are|was|were|seems?|while)"
    r"\s*(?:[.,;:!?]|$)|\b(?:a|an|the|very)\s+(?:of|with|and|or|but|is|are|was|were|in|at|to|that|while|as)\b|"
    r"\b(?:is|are|was|were)\s+(?:and|or|but|of|is|are)\b|\b(?:he|she|they)\s+(?:of|with|and|in|at|to|by|[.,])|"
    r"\b(?:neither|either|both|nor)\s*(?:[.,;:!?]|$|\b(?:and|nor|or)\b)|(?:^|[.!?]\s+)(?:and|or)\b|\b(\w+)\s+\1\b",
    re.IGNORECASE,
)
"""Places where a word is missing or stands twice."""


def harm(after: str, before: str) -> bool:
    """Whether a caption has a broken place that it had not before."""
    had = {match[0].lower() for match in HARMS.finditer(before)}
    return any(match[0].lower() not in had for match in HARMS.finditer(after))
