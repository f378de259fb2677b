"""`python -m dev.languages`: the missing and superfluous sentences of the pages' dictionaries."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import templates
from dev.options import no_options
from dev.settings import ROOT

SCRIPTS = ROOT / "web/js"
DICTIONARIES = ROOT / "web/languages"
ENGLISH = ("console", "chart")
"""The beginnings of the names of scripts that may have text of their own: the console's."""

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_CALL = re.compile(r"(?<![\w.$])t\(")
_SENTENCE = re.compile(rf"\s*({_STRING})\s*[,)]")
_PLURAL = re.compile(r"(?<![\w.$])plural\(")
_FORMS = re.compile(rf"[^;`]*?\{{\s*one: ({_STRING}),\s*other: ({_STRING}),?\s*\}}")
_PLACEHOLDER = re.compile(r"\{\w+\}")

Translation = str | Mapping[str, str]
"""A sentence, or its forms for numbers: `one` and `other`."""
Dictionary = Mapping[str, Translation]


@dataclass(frozen=True)
class Use:
    """A sentence in a script, as a key of the dictionaries."""

    script: str
    sentence: str
    forms: tuple[str, ...]
    """The English forms of a sentence with a number; empty for any other."""


def uses(script: str, source: str) -> Iterator[Use]:
    """The sentences of a script. Raises `ValueError` for one that is not a literal."""
    for call in _CALL.finditer(source):
        found = _SENTENCE.match(source, call.end())
        if not found:
            raise ValueError(_not_literal(script, source, call.start()))
        yield Use(script, json.loads(found[1]), ())
    for call in _PLURAL.finditer(source):
        found = _FORMS.match(source, call.end())
        if not found:
            raise ValueError(_not_literal(script, source, call.start()))
        one, other = json.loads(found[1]), json.loads(found[2])
        yield Use(script, other, (one, other))


def _not_literal(script: str, source: str, at: int) -> str:
    line = source.count("\n", 0, at) + 1
    return f"{script}:{line}: give t and plural the sentence itself, in double quotes."


def problems(used: list[Use], language: str, dictionary: Dictionary) -> list[str]:
    """What is wrong with a dictionary, one sentence for each problem."""
    name = f"{language}.json"
    sentences = {use.sentence for use in used}
    unused = [
        f"{name} has “{key}”, which no script uses." for key in dictionary if key not in sentences
    ]
    found = [
        problem
        for use in {(use.sentence, bool(use.forms)): use for use in used}.values()
        if (problem := _problem(use, name, dictionary))
    ]
    return found + unused


def _problem(use: Use, name: str, dictionary: Dictionary) -> str | None:
    if use.sentence not in dictionary:
        return f"{name} lacks “{use.sentence}” of {use.script}."
    translation = dictionary[use.sentence]
    if bool(use.forms) != isinstance(translation, Mapping):
        needed = "the forms “one” and “other”" if use.forms else "one sentence"
        return f"{name} needs {needed} for “{use.sentence}” of {use.script}."
    forms = translation if isinstance(translation, Mapping) else {"other": translation}
    if use.forms and not {"one", "other"} <= set(forms):
        return f"{name} needs the forms “one” and “other” for “{use.sentence}” of {use.script}."
    if not all(form.strip() for form in forms.values()):
        return f"{name} has an empty translation of “{use.sentence}”."
    if any(_placeholders(form, use) != _placeholders(use.sentence, use) for form in forms.values()):
        return f"{name} has other placeholders than “{use.sentence}”."
    return None


def _placeholders(text: str, use: Use) -> list[str]:
    """The placeholders in a text. A form may leave out the number: “one message”."""
    found = sorted(_PLACEHOLDER.findall(text))
    return [name for name in found if not (use.forms and name == "{n}")]


def read_dictionary(path: Path) -> Dictionary:
    """A dictionary from its file. Raises `ValueError` if a sentence is in it twice."""
    return json.loads(path.read_text(), object_pairs_hook=_once)  # type: ignore[no-any-return]


def _once(pairs: list[tuple[str, Translation]]) -> Dictionary:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"A dictionary has “{twice[0]}” twice.")
    return dict(pairs)


def bare(script: str, source: str) -> Iterator[str]:
    """The texts of templates that are not passed to t, one sentence for each."""
    for text in templates.texts(source):
        line = source.count("\n", 0, text.start) + 1
        yield f"{script}:{line}: give “{text.text}” to t."


def all_problems(scripts: Path = SCRIPTS, dictionaries: Path = DICTIONARIES) -> list[str]:
    """What is wrong with all scripts and dictionaries."""
    paths = sorted(scripts.glob("*.js"))
    try:
        used = [use for path in paths for use in _uses(path)]
        found = {path.stem: read_dictionary(path) for path in sorted(dictionaries.glob("*.json"))}
    except ValueError as error:
        return [str(error)]
    shown = [path for path in paths if not path.name.startswith(ENGLISH)]
    return [
        *(problem for path in shown for problem in bare(path.name, path.read_text())),
        *_of_dictionaries(used, found),
    ]


def _of_dictionaries(used: list[Use], found: Mapping[str, Dictionary]) -> list[str]:
    return [
        problem
        for language, dictionary in found.items()
        for problem in problems(used, language, dictionary)
    ]


def _uses(path: Path) -> Iterator[Use]:
    # The module that defines t and plural uses neither.
    return iter(()) if path.name == "language.js" else uses(path.name, path.read_text())


if __name__ == "__main__":
    no_options("dev.languages", __doc__)
    found = all_problems()
    print("\n".join(found) or "The dictionaries are complete.")
    sys.exit(bool(found))
