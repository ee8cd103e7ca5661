"""What an emotion is: Mikels' eight, valence and arousal, intensity, words for them, and change over time.

Pure Python: importing it loads no numerical library.
"""

from .arc import EmotionArc, Keyframe
from .lexicon import LEXICON, LexiconEntry, UnknownEmotionError, load_lexicon, lookup, register_word
from .mikels import MIKELS, MIKELS_VA, NEGATIVE, NEUTRAL, POSITIVE, WARRINER_VA, is_positive
from .parse import format_emotion, parse_emotion
from .prompts import emotion_prompt, scrub_emotion_words
from .state import EmotionState

__all__ = [
    "LEXICON", "MIKELS", "MIKELS_VA", "NEGATIVE", "NEUTRAL", "POSITIVE", "WARRINER_VA", "EmotionArc", "EmotionState",
    "Keyframe", "LexiconEntry", "UnknownEmotionError", "emotion_prompt", "format_emotion", "is_positive",
    "load_lexicon", "lookup", "parse_emotion", "register_word", "scrub_emotion_words",
]
