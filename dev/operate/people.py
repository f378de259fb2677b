"""`make admin` and `make verify-age`: decisions about people that only operators make."""

from collections.abc import Callable

import click

from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.settings import Settings


def make_admin(settings: Settings, email: str, *, remove: bool) -> int:
    """Give somebody the console, or take it back. Returns the exit code."""
    return _change(settings, email, _take_role if remove else _give_role)


def verify_age(settings: Settings, email: str, *, remove: bool) -> int:
    """Record that somebody's age was verified, or no longer counts. Returns the exit code."""
    return _change(settings, email, _forget_age if remove else _record_age)


def _change(settings: Settings, email: str, change: Callable[[Project, str], str]) -> int:
    try:
        project = find(settings)
        person = project.call("find_person", p_email=email)
        if person is None:
            return _fail(f"Nobody has signed up with {email}. They sign up on the page first.")
        click.echo(f"{email} {change(project, str(person))}")
    except NoSuchFunction:
        return _fail("The database lacks migrations: make verify says what to do.")
    except Unreachable as error:
        return _fail(str(error))
    return 0


def _give_role(project: Project, person: str) -> str:
    which = f"user_id=eq.{person}&role=eq.admin"
    if not project.rows("GET", f"user_roles?select=role&{which}"):
        project.rows("POST", "user_roles?select=role", {"user_id": person, "role": "admin"})
    return "is an admin. The page has a link to the console after it is loaded again."


def _take_role(project: Project, person: str) -> str:
    project.rows("DELETE", f"user_roles?user_id=eq.{person}&role=eq.admin&select=role")
    return "is no admin."


def _record_age(project: Project, person: str) -> str:
    project.call("record_age_verification", p_user_id=person, p_is_verified=True)
    return "counts as verified and may use the adult tier."


def _forget_age(project: Project, person: str) -> str:
    project.call("record_age_verification", p_user_id=person, p_is_verified=False)
    return "no longer counts as verified."


def _fail(sentence: str) -> int:
    click.echo(sentence, err=True)
    return 1
