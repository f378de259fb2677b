"""Single values that tools write in another type than the specification has."""

from edge.json_values import number_or_text

MAX_WHOLE = 2**53
"""The largest whole number that a number of JSON holds exactly."""
_FLAGS = {"true": True, "yes": True, "on": True, "1": True}
_FLAGS |= {"false": False, "no": False, "off": False, "0": False}


def flag(value: object) -> bool | None:
    """Yes or no, also as 0, 1 or a word; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def whole(value: object) -> int | None:
    """A whole number, also as 4.0 or as text; None for anything else."""
    found = number_or_text(value)
    if found is None or not found.is_integer() or abs(found) > MAX_WHOLE:
        return None
    return int(found)
