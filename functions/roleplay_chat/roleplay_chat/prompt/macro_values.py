"""The values of macros in a turn."""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from roleplay_chat.prompt.macro_clock import Clock
from roleplay_chat.prompt.macro_variables import Variables

NAMES = ("char", "user", "character_name", "user_name")
SAID = ("lastmessage", "lastusermessage", "lastcharmessage", "input")
"""The macros that quote messages."""

ALIASES = {
    "bot": "char",
    "chardescription": "description",
    "charpersonality": "personality",
    "charscenario": "scenario",
    "mesexamplesraw": "mesexamples",
    "charjailbreak": "charinstruction",
    "greeting": "charfirstmessage",
    "charifnotgroup": "group",
    "groupnotmuted": "group",
    "lastchatmessage": "lastmessage",
    "maxprompttokens": "maxprompt",
    "maxcontexttokens": "maxcontext",
    "maxresponsetokens": "maxresponse",
}
"""Other names of values."""


class Macros(Struct, frozen=True):
    """The values of macros, and the inputs of computed ones."""

    values: Mapping[str, str] = field(default_factory=dict)
    """Values by name in lower case, in which nothing is expanded: names, numbers, what was said."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Authors' texts by name in lower case, in which macros are expanded."""
    greetings: tuple[str, ...] = ()
    conversation: str = ""
    """For chance: one conversation has the same {{pick}} for as long as it lasts."""
    messages: int = 0
    """For chance: how far the conversation is. The same for every version of a reply."""
    step: int | None = None
    """For chance in texts at the beginning of a prompt, instead of `messages`: the position where
    the history begins, which is the same for several turns. None for other texts."""
    steps_used: set[int] = field(default_factory=set)
    """Gets the step when a text depends on it."""
    clock: Clock = field(default_factory=Clock)
    variables: Variables = field(default_factory=Variables)
    """Changed by macros that set some, in the order in which texts are expanded."""
    outlets: dict[str, str] = field(default_factory=dict)
    """The lorebook's texts by outlet. Each is taken once, so no text grows by more than these."""
    expanded_texts: dict[str, str] = field(default_factory=dict)
    """The texts that were already expanded."""

    def __getitem__(self, name: str) -> str:
        """The value of a macro that stands for a name or a number."""
        return self.values[name]

    def having(self, **values: str) -> "Macros":
        """These macros with other values."""
        return replace(self, values={**self.values, **values})

    def keeping(self, variables: Variables) -> "Macros":
        """These macros with the given variables."""
        return replace(self, variables=variables, expanded_texts={})

    def filling(self, outlets: dict[str, str]) -> "Macros":
        """These macros with texts for outlets."""
        return replace(self, outlets=outlets, expanded_texts={})

    def standing_still(self, step: int) -> "Macros":
        """These macros for texts at the beginning of a prompt: with a clock that changes once a
        day, and chance that changes with the `step`."""
        clock = self.clock.standing(self.conversation)
        return replace(self, clock=clock, step=step, expanded_texts={})

    def find(self, name: str) -> str | None:
        """A value by one of its names."""
        return self.values.get(ALIASES.get(name, name))
