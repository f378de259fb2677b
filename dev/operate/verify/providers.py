"""Checks of the providers: their addresses and keys."""

from collections.abc import Iterator, Mapping

from dev.operate.project import secrets_managed
from dev.operate.verify.check import Check, Facts, counted
from edge.addresses import AddressRejected, check_address
from edge.credentials import missing_binding
from edge.settings import EdgeSettings


def provider_checks(
    facts: Facts, environment: Mapping[str, str], is_local: bool
) -> Iterator[Check]:
    """Whether each provider may be called, and has a key and models."""
    is_adopted = facts["installation"]["kind"] == "adopted"
    table = "private.provider_keys" if is_adopted else "api_providers"
    for provider in facts["providers"]:
        name, secret = f"provider {provider['name']}", provider["secret_name"]
        models = [
            model
            for model in facts["models"]
            if model["provider"] == provider["name"] and model["is_active"]
        ]
        rejected = why_rejected(provider["base_url"], environment)
        if not provider["is_approved"] and is_adopted:
            yield Check(
                name,
                "unknown",
                "one of the product's; gets no requests of ours",
                "if it should, insert its address and the name of its key into"
                " private.provider_keys (docs/adopting.md)",
            )
        elif not provider["is_approved"]:
            yield Check(
                name,
                "problem",
                f"it was added with the address {provider['base_url']} and gets no requests",
                "if it is intended, set is_approved of its row in api_providers with the secret "
                "key; otherwise delete it",
            )
        elif not provider["is_active"]:
            yield Check(name, "ok", "switched off")
        elif rejected:
            yield Check(
                name,
                "problem",
                f"its address {provider['base_url']} is not called: {rejected}",
                f"set base_url of its row in {table} to a public https address",
            )
        elif provider["auth_scheme"] != "none" and not has_key(secret, environment):
            where = (
                f"put {secret} into .env, then make down && make up"
                if is_local
                else f"store {secret} in Secret Manager and add it to DEPLOY_SECRETS"
            )
            yield Check(name, "problem", f"{secret} is not set", where)
        elif provider["auth_scheme"] != "none" and (
            wanted := unbound(secret, provider["base_url"], environment)
        ):
            found = f"{secret} may not be sent to {provider['base_url']}"
            yield Check(
                name, "problem", found, f"if it is intended, set {wanted} for both functions"
            )
        elif not models:
            yield Check(name, "problem", "it has no active model", "activate one, or switch it off")
        else:
            key = "no key needed" if provider["auth_scheme"] == "none" else f"{secret} is set"
            yield Check(name, "ok", f"{key}, {counted(models, 'active model')}")


def allows_local(environment: Mapping[str, str]) -> bool:
    """Whether the functions call http and private addresses."""
    return environment.get("ALLOW_LOCAL_UPSTREAMS", "").lower() in ("true", "1")


def why_rejected(url: str, environment: Mapping[str, str]) -> str | None:
    """Why the functions do not call an address; None if they do."""
    private_origins = environment.get("PRIVATE_ORIGINS", "")
    try:
        check_address(url, allow_local=allows_local(environment), private_origins=private_origins)
    except AddressRejected as rejected:
        return str(rejected)
    except ValueError as wrong:
        return f"PRIVATE_ORIGINS is not valid: {wrong}"
    return None


def unbound(secret: str, url: str, environment: Mapping[str, str]) -> str | None:
    """The setting that would allow sending a key to an address; None if it is allowed already."""
    default = EdgeSettings.model_fields["key_origins"].default
    origins = environment.get("KEY_ORIGINS", "").strip() or default
    try:
        wanted = missing_binding(secret, url, origins, allow_local=allows_local(environment))
    except AddressRejected as rejected:
        return f"another base_url ({rejected}) and KEY_ORIGINS"
    except ValueError as wrong:
        return f"KEY_ORIGINS to a valid value ({wrong})"
    return wanted and f"KEY_ORIGINS={wanted}"


def has_key(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a function has this variable, from its environment or from Secret Manager."""
    return bool(environment.get(name, "").strip()) or name in secrets_managed(environment)
