"""Cleans up after turns: abandoned turns, expired cooldowns, usage events, old rows."""

from typing import Any

from edge import storage
from edge.storage import StorageError
from health_check.steps import Found, Run, StepFailed

CONVERSATIONS_AT_ONCE = 20
"""Conversations purged by one call; their messages go with them."""
PORTRAITS_AT_ONCE = 100
"""Pictures removed by one call; Storage takes up to 1,000."""
BATCH = 1_000
"""Rows of one kind deleted at a time."""


async def close_turns(run: Run, found: Found) -> None:
    """Close the turns whose process died."""
    found["closed"] = await run.clients.rpc("close_abandoned_turns")


async def clear_cooldowns(run: Run, found: Found) -> None:
    """Delete the cooldowns that have expired."""
    found["cleared"] = await run.clients.rpc("clear_passed_cooldowns")


async def remove_portraits(run: Run, found: Found) -> None:
    """Remove pictures that no longer belong to a character from Supabase Storage.

    Raises `StepFailed`; the next run tries again.
    """
    found["removed"] = 0
    while paths := await run.clients.rpc("portraits_to_remove", {"p_limit": PORTRAITS_AT_ONCE}):
        try:
            await storage.remove(run.clients, paths)
        except StorageError as error:
            raise StepFailed(f"Storage did not remove pictures: {error}") from error
        await run.clients.rpc("portraits_removed", {"p_paths": paths})
        found["removed"] += len(paths)


async def roll_up_usage(run: Run, found: Found) -> None:
    """Roll up usage part by part, from where the last run ended. No part is longer than a day."""
    found["parts"] = 0
    parameters: dict[str, Any] = {}
    while True:
        next_day = await run.clients.rpc("roll_up_usage", parameters)
        found["parts"] += 1
        if next_day is None:
            return
        parameters["p_day"] = next_day


async def apply_retention(run: Run, found: Found) -> None:
    """Delete rows that are older than the retention period, in batches."""
    found |= {"usage_events": 0, "turn_results": 0}
    parameters = {"p_limit": BATCH}
    gone = dict.fromkeys(found, BATCH)
    while BATCH in gone.values():
        gone = await run.clients.rpc("apply_retention", parameters)
        for name, count in gone.items():
            found[name] += count


async def purge_conversations(run: Run, found: Found) -> None:
    """Purge conversations that their owners deleted long enough ago, in batches."""
    found["conversations"] = 0
    parameters = {"p_limit": CONVERSATIONS_AT_ONCE}
    while purged := await run.clients.rpc("purge_conversations", parameters):
        found["conversations"] += purged
