"""Seeded small talk of a length that real chats have: scenes with things of their own."""

import random

_FRAMES = (
    "{a} and {b}, that is what I keep coming back to.",
    "*{name} puts the {a} beside the {b} and waits a moment.*",
    "The {a} was {d} this morning, and nobody could {v} it.",
    "I would rather {v} the {a} than leave it with the {b}.",
    "*A {d} wind comes in, and the {a} starts to move.*",
    "Somebody ought to {v} that {d} {a} before it gets dark.",
    "You can hear the {a} from here, if you {v} for a while.",
    "There was a {b} once, {d} and heavy, and they used it to {v} the {a}.",
    "*{name} laughs and shakes her head at the {d} {a}.*",
    "When the {b} came, we had to {v} every {a} in the house.",
    "It takes patience to {v} a {a}, more than it takes strength.",
    "Leave the {a} alone; the {b} matters more tonight.",
    "They say a {d} {a} brings luck, though I never saw any of it.",
    "*The {a} creaks. {name} does not look up from the {b}.*",
    "We could {v} the {a} together, if the {b} holds.",
    "That {a} has been {d} since the spring, and so has the {b}.",
)
_SHORT = (
    "And then?", "Go on.", "Well, and what did you do?", "Oh, is that so?", "No, not me.",
    "So it was there all the while?", "I am with you.", "Just as you are.", "And so on and so on.",
    "Why not?", "Yes, do.", "It is what it is.", "Do you now?", "But how?", "Where to?",
)  # fmt: skip
"""Function words alone, which bear on nothing that was said before."""
_VERBS = (
    "mend", "lift", "turn", "paint", "carry", "clean", "watch", "borrow", "hide", "count", "open",
    "follow", "steady", "trade", "weigh", "polish", "wrap", "guard", "shift", "sketch", "repair",
    "empty", "fetch", "trust", "drag", "sort", "warm", "listen", "balance", "fold", "light",
    "measure", "pack", "tie", "wash", "wind", "mark", "press", "stack", "search",
)  # fmt: skip
_KINDS = (
    "damp", "narrow", "crooked", "faded", "heavy", "quiet", "rusty", "bright", "brittle", "cold",
    "dusty", "shallow", "bitter", "gentle", "hollow", "loose", "plain", "rough", "sharp", "slow",
    "smooth", "steep", "tangled", "thick", "uneven", "stubborn", "warm", "worn", "blue", "grey",
)  # fmt: skip
_THINGS = (
    "lantern ladder window kettle anchor ledger mirror compass blanket hammer bottle feather",
    "orchard beehive barrow trellis scarecrow pruner basket plum hedge gate nettle spade",
    "viola metronome score bow rosin choir organ pedal bell tenor ballad drum",
    "dough oven rye sieve apron crumb yeast counter loaf cinnamon tray bakery",
    "glacier crampon ridge tent avalanche summit scree marmot cairn gully rope stove",
    "chessboard knight gambit pawn clock tournament bishop opening endgame rook ladder draw",
    "loom shuttle wool dye spindle pattern fringe carpet bobbin thread weaver selvage",
    "telescope comet eclipse orbit lens dome nebula meteor planet tripod dusk chart",
    "ferry harbour pontoon gull mooring tide buoy jetty captain ticket deck wake",
    "violet fern moss greenhouse seedling cactus pollen petal trowel orchid mulch soil",
    "typewriter ribbon margin editor draft chapter envelope stamp printer ink column headline",
    "saddle stable bridle foal paddock hoof straw fence meadow trough farrier mane",
    "tram conductor depot rail signal platform whistle timetable tunnel bridge carriage lever",
    "pottery kiln glaze clay wheel vase shard handle bowl workshop slip teapot",
    "carnival mask lantern fiddle puppet stall ribbon acrobat confetti parade trumpet juggler",
    "fjord kayak paddle heron island driftwood cormorant channel current inlet otter reed",
    "library atlas shelf catalogue archive scroll reader alcove index folio desk librarian",
    "snowdrift sledge mitten icicle chimney hearth shovel scarf blizzard woodpile thaw crow",
    "market melon scale coin awning spice merchant crate haggle saffron stall cloth",
    "desert dune caravan well camel mirage oasis turban salt sandstorm cistern date",
)  # fmt: skip
THINGS = tuple(dict.fromkeys(" ".join(_THINGS).split()))
SCENE_TURNS = 8
"""How long a conversation stays with the same things."""


def seeded(seed: int | str) -> random.Random:
    """Random choices that are the same for the same seed."""
    return random.Random(seed)  # noqa: S311


class SmallTalk:
    """What two people say in a turn, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = seeded(seed)
        scenes = [words.split() for words in _THINGS]
        self._scenes = self._random.sample(scenes, len(scenes))

    def person(self, turn: int) -> str:
        """A message of the person, of 5 to 60 words.

        One in four bears on nothing, one in five comes back to an earlier scene, and the others are
        about the scene of the turn.
        """
        words = self._random.randint(5, 60)
        kind = self._random.random()
        if kind < 0.25:
            return self._short(min(words, 20))
        earlier = self._random.randrange(max(turn // SCENE_TURNS, 1)) * SCENE_TURNS
        return self._prose(earlier if kind > 0.8 else turn, words)

    def character(self, turn: int) -> str:
        """A reply of 40 to 160 words."""
        return self._prose(turn, self._random.randint(40, 160))

    def thing(self, turn: int) -> str:
        """Something that the scene of the turn is about."""
        return self._random.choice(self._scene(turn))

    def describe(self, thing: str, words: int) -> str:
        """What a book says of a thing, in about so many words."""
        said = [f"The {thing} belongs to Mara."]
        while len(" ".join(said).split()) < words:
            said.append(
                f"It is {self._random.choice(_KINDS)}, and hard to {self._random.choice(_VERBS)}."
            )
        return " ".join(said)

    def _scene(self, turn: int) -> list[str]:
        return self._scenes[turn // SCENE_TURNS % len(self._scenes)]

    def _short(self, words: int) -> str:
        said: list[str] = []
        while len(" ".join(said).split()) < 5 or len(" ".join(said).split()) < words:
            said.append(self._random.choice(_SHORT))
        return " ".join(said)

    def _prose(self, turn: int, words: int) -> str:
        """Sentences about the scene of the turn with about so many words, and never more."""
        said: list[str] = []
        left = words
        while True:
            one, other = self._random.sample(self._scene(turn), 2)
            sentence = self._random.choice(_FRAMES).format(
                a=one,
                b=other,
                v=self._random.choice(_VERBS),
                d=self._random.choice(_KINDS),
                name="Mara",
            )
            length = len(sentence.split())
            if said and length > left:
                return " ".join(said)
            said.append(" ".join(sentence.split()[: max(left, 5)]))
            left -= length
