"""Accounts of people, made with Supabase's Auth server."""

import httpx

from dev.backup.archive import BackupError, Person

SECONDS = 30


class Accounts:
    """The Auth server of a project, as its secret key may use it."""

    def __init__(self, url: str, secret_key: str) -> None:
        self._url = f"{url.rstrip('/')}/auth/v1/admin/users"
        headers = {"apikey": secret_key, "Authorization": f"Bearer {secret_key}"}
        self._http = httpx.Client(headers=headers, timeout=SECONDS)

    def make(self, person: Person) -> None:
        """Make an account with its id and a confirmed address, without a password. Raises
        `BackupError`."""
        data = {"display_name": person.display_name} if person.display_name else {}
        account = {
            "id": person.id,
            "email": person.email,
            "email_confirm": True,
            "user_metadata": data,
        }
        try:
            answer = self._http.post(self._url, json=account)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BackupError(
                f"The Auth server does not answer ({type(error).__name__}). Is SUPABASE_URL right?"
            ) from error
        if not answer.is_success:
            raise BackupError(
                f"The Auth server answered {answer.status_code} to the account {person.id}. Is"
                " SUPABASE_SECRET_KEY the secret key of this project, and is the address free?"
            )
