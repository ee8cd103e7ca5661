"""What an emotion is: Mikels' eight, valence and arousal, intensity, words for them, and change over time.

Pure Python: importing it loads no numerical library.
"""

from emogen.emotion.arc import EmotionArc, Keyframe, latent_frame_times, parse_emotion_or_arc
from emogen.emotion.evidence import EMOTION_WORDS
from emogen.emotion.lexicon import LEXICON, LexiconEntry, UnknownEmotionError, lookup, register_word
from emogen.emotion.lexicon_file import load_lexicon
from emogen.emotion.parse import format_emotion, parse_emotion
from emogen.emotion.plausible import FILM_TRANSITIONS, estimate_transitions, read_transitions, sample_arc
from emogen.emotion.prompts import emotion_prompt
from emogen.emotion.scrubber import scrub_emotion_words
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import (
    MIKELS,
    MIKELS_VA,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    WARRINER_VA,
    Taxonomy,
    is_positive,
    valence_of,
)

__all__ = [
    "EMOTION_WORDS", "FILM_TRANSITIONS", "LEXICON", "MIKELS", "MIKELS_VA", "NEGATIVE", "NEUTRAL", "POSITIVE",
    "WARRINER_VA", "EmotionArc", "EmotionState", "Keyframe", "LexiconEntry", "Taxonomy", "UnknownEmotionError",
    "emotion_prompt", "estimate_transitions", "format_emotion", "is_positive", "latent_frame_times", "load_lexicon",
    "lookup", "parse_emotion", "parse_emotion_or_arc", "read_transitions", "register_word", "sample_arc",
    "scrub_emotion_words",
    "valence_of",
]  # fmt: skip
