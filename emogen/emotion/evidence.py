"""Which words of a caption are evidence of an emotion, what part of speech they are, and where they are content.

Expressions count as evidence: a face that is said to smile or cry tells the emotion as plainly as "happy" does.
"""

from __future__ import annotations

import re

from emogen.emotion.lexicon import BUILTIN


def word_set(words: str) -> frozenset[str]:
    """The words of a text, which stand between spaces."""
    return frozenset(words.split())


AMBIGUOUS = word_set(
    "content fun cross mad gross sick interest trust love peace calm none null neutral relief thrill tender wonder "
    "cozy desire relaxed comfortable tired exhausted hope awesome distraction acceptance curious pride shock approval"
) | {"no emotion"}
"""Lexicon words that captions also use for things without feeling ("a calm sea", "a stained glass in relief", "Mad
Max"): evidence only after a word such as "looks", "feeling" or "very"."""

VERBS = {
    "s": word_set(
        "smiles frowns cries laughs giggles grins scowls screams sobs weeps scares fears chuckles smirks pouts "
        "sulks wails"
    ),
    "past": word_set(
        "smiled frowned cried laughed giggled grinned scowled screamed sobbed wept saddened scared chuckled smirked "
        "pouted sulked wailed"
    ),
    "base": word_set("smile frown cry laugh giggle grin scowl scream sob weep scare chuckle smirk pout sulk wail"),
}
"""Verbs of expression by their form. The forms on -ing count as adjectives: they stand where those stand."""

_MANNERS = word_set(
    "smilingly angrily anxiously cheerfully contentedly ecstatically excitedly fearfully furiously gleefully gloomily "
    "happily joyfully joyously joylessly mournfully nervously playfully proudly sadly serenely sorrowfully tearfully"
)
_ADJECTIVES = word_set(
    "frowning giggling grinning scowling screaming sobbing weeping scaring happier happiest sadder saddest joyous "
    "joyless mournful chuckling smirking pouting sulking wailing overjoyed depressed upset distressed gleeful jubilant "
    "terrifying horrifying frightening annoying heartwarming saddening hysterical irate livid petrified dismayed"
)
NOUNS = word_set(
    "amusement awe contentment excitement anger disgust fear sadness joy happiness enjoyment surprise serenity ecstasy "
    "admiration apprehension terror amazement astonishment pensiveness grief boredom loathing annoyance rage tears "
    "anticipation vigilance confusion curiosity disappointment disapproval embarrassment gratitude nervousness "
    "optimism realization remorse delight laughter calmness satisfaction enthusiasm euphoria reverence fury outrage "
    "wrath hostility irritation frustration jealousy envy revulsion nausea contempt scorn horror panic anxiety worry "
    "dread sorrow melancholy despair loneliness guilt regret shame nostalgia glee mirth misery gloom bliss agony "
    "elation fright unease resentment heartache"
)
"""Words of evidence that are nouns. Forms such as "smile" are nouns or verbs by what stands beside them."""

EMOTION_WORDS: frozenset[str] = frozenset(
    {*BUILTIN, *_MANNERS, *_ADJECTIVES, *NOUNS, *VERBS["s"], *VERBS["past"], *VERBS["base"]} - AMBIGUOUS
)
"""The words that `scrub_emotion_words` takes out: the lexicon emogen comes with, but for the ambiguous words, and
common words for expressions (smile, tears) and manners (sadly)."""

CONTENT = re.compile(
    r"amusement (?:park|arcade|ride|pier|hall|cent(?:er|re)|fair)s?|angry birds?|merry christmas|merry go rounds?|"
    r"happy (?:meals?|birthday|hours?|new year|holidays?|halloween|easter|feet|end(?:ing)?s?|prince|valentine)|"
    r"weeping (?:willow|fig|birch|cherry)s?|laughing (?:gas|stock|hyenas?|buddhas?|gull|dove)s?|crying shame|"
    r"horror (?:films?|movies?|genre|stor(?:y|ies)|novels?|house)|panic (?:buttons?|rooms?|attacks?|bars?)|"
    r"silly (?:putty|strings?)|fear factor|anger management|joy (?:rides?|sticks?)|worry (?:beads|dolls?)|"
    r"surprise (?:part(?:y|ies)|gifts?|eggs?|box(?:es)?|visits?|guests?)|grumpy cat|screaming eagles?|funny bones?|"
    r"tears? (?:a|an|the|up|apart|off|open|out|it|them|through|into|down the|away)",
    re.IGNORECASE,
)
"""Compounds in which such a word is a thing's name or another word altogether ("tears up a letter"); spaces stand for
hyphens too."""

THINGS_WITH_FACES = word_set(
    "emoji emojis emoticon face faces expression expressions sticker stickers smiley look eyes"
)
"""What a noun of emotion describes when it stands before it, as in "a sadness emoji"."""


def pattern(words: frozenset[str] | set[str]) -> str:
    """A regular expression for any of the words, the longest first; spaces stand for hyphens too."""
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)
