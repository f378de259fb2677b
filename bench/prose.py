"""Messages for the benchmark: ordinary sentences, as in real chats."""

SENTENCES = (
    "The harbour lights went out one after the other, and nobody on the pier said a word.",
    "*She pulls the oilskin tighter and points at the last buoy.* Do you hear the bell, or not?",
    "I hear it. But the wind is wrong for it, and the bell should be behind us by now.",
    "*He wipes the salt from the glass and looks again, longer.* There is no light there.",
    "Then we wait for the tide. My grandmother always said that the sea returns what it borrows.",
    '"Your grandmother," she says, "never had to row home in the dark with a leaking boat."',
    "Fair. Hand me the rope, and tell me again what you saw when you climbed up to the lamp.",
    "*The boards creak under them. Somewhere below, water slaps on stone, patient as a clock.*",
)
_THINGS = (
    *("lantern", "ladder", "window", "kettle", "anchor", "ledger", "mirror", "compass"),
    *("blanket", "hammer", "bottle", "feather", "candle", "letter", "basket", "curtain"),
    *("shutter", "barrel", "chimney", "doorway", "painting", "carpet", "notebook", "saddle"),
    *("cupboard", "staircase", "telescope", "envelope", "whistle", "harness", "teapot", "spyglass"),
)
FIRST_TOKEN = b"*She"
"""The start of every reply (node/prose.mjs)."""
PARAGRAPH = " ".join(SENTENCES[:2])


def sentence(number: int) -> str:
    """The nth message of a conversation."""
    return SENTENCES[number % len(SENTENCES)] + " " + SENTENCES[(number * 3 + 1) % len(SENTENCES)]


def question(person: int) -> str:
    """The next message of a person, different for each of a thousand people."""
    one, other = divmod(person, len(_THINGS))
    return f"{SENTENCES[6]} And who put the {_THINGS[one]} next to the {_THINGS[other]}?"
