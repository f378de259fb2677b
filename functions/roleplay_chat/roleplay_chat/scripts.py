"""Scripts that are written without spaces between words."""

from edge.patterns import compiled_later

UNSPACED = (
    # Thai, Lao, Tibetan, Burmese, Khmer, Javanese
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\ua980-\ua9df"
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # Radicals, kana, bopomofo
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # Han, narrow kana
)
"""Their letters, as ranges of a class."""
ATTACHING = f"{UNSPACED}\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
"""The same with Korean, which has spaces, but attaches particles to words: for names and other
words that are looked for, here and in the database (`private.terms_in`, `private.named_at`)."""
_UNSPACED = compiled_later(f"[{UNSPACED}]")


def has_unspaced(text: str) -> bool:
    """Whether a text has a letter of such a script."""
    return _UNSPACED.search(text) is not None


def is_unspaced(char: str) -> bool:
    """Whether a character is a letter of such a script."""
    return char >= "\u0e00" and _UNSPACED.match(char) is not None
