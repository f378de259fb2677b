"""How much a run measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    rounds: int = 3
    """Rounds of the comparison, each with the systems in another order."""
    seconds: float = 4
    """Shortest measurement of one system at one concurrency."""
    concurrencies: tuple[int, ...] = (1, 32, 128)
    warm_up_turns: int = 300
    streams: int = 200
    """Streams open at the same time."""
    stream_tokens: int = 500
    token_gap_ms: int = 20
    starts: int = 7
    """Cold starts of each function."""
    soak_turns: int = 50_000
    soak_steps: int = 10
    messages: tuple[int, ...] = (100, 10_000, 1_000_000)
    """Messages in one conversation."""
    conversations: int = 1_000_000
    adopted_messages: tuple[int, ...] = (100, 100_000, *[10_000] * 18)
    """Messages in conversations of an adopted database; the smallest and the largest are timed."""
    adopted_conversations: int = 100_000
    """Further ones; every fifth has one message."""
    recalled_messages: tuple[int, ...] = (100, 10_000)
    """Messages in the conversations of the table in which old messages are looked for."""
    talks: int = 9_900
    """Further ones of the smallest size: a million messages together."""
    long_histories: int = 9
    """Conversations with a long history, for the function and the floor each."""
    calls: int = 300
    """Calls of begin_turn and finish_turn at each size."""
    attacks: int = 5
    """How often each hostile input is sent."""
    prompt_messages: tuple[int, ...] = (16, 100, 500, 2000)

    @classmethod
    def quick(cls) -> "Plan":
        """A short run that shows whether everything works, and roughly how fast."""
        return cls(
            rounds=1,
            seconds=1,
            warm_up_turns=50,
            stream_tokens=100,
            starts=2,
            soak_turns=3000,
            soak_steps=2,
            messages=(100, 1_000, 10_000),
            conversations=10_000,
            adopted_messages=(100, 10_000, 1_000),
            adopted_conversations=10_000,
            recalled_messages=(100, 1_000),
            talks=90,
            long_histories=3,
            calls=50,
            attacks=2,
        )
