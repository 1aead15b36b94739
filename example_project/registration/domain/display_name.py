"""Names that others see."""

import unicodedata

LONGEST_DISPLAY_NAME = 60


def is_display_name(text: str) -> bool:
    """Whether a text may be shown as a name."""
    # The folded form can be longer than the name, and views store it.
    longest = max(len(text), len(folded_display_name(text)))
    return (
        0 < longest <= LONGEST_DISPLAY_NAME
        and text.isprintable()
        and text == " ".join(text.split())
    )


def folded_display_name(text: str) -> str:
    """Return the form in which two names that look the same are the same: ``ANN`` is ``Ann``."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
