"""Signing keys, and user tokens as Supabase Auth issues them."""

from __future__ import annotations

import json
import secrets
import time
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Algorithm = Literal["HS256", "ES256", "RS256"]


class Keys:
    """A secret (HS256) and two key pairs (ES256, RS256). Each instance is another project."""

    def __init__(self, issuer: str = "http://127.0.0.1/auth/v1") -> None:
        self.issuer = issuer
        self.secret = secrets.token_hex(32)
        self.kids = {"ES256": f"es-{secrets.token_hex(4)}", "RS256": f"rs-{secrets.token_hex(4)}"}

    @cached_property
    def _pairs(self) -> dict[str, Any]:
        return {
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }

    def jwks(self) -> dict[str, Any]:
        """The public keys in the format that Auth publishes."""
        return {"keys": [self._public_key(algorithm) for algorithm in ("ES256", "RS256")]}

    def token(
        self,
        user_id: UUID | str,
        algorithm: Algorithm = "ES256",
        *,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A user token, valid for an hour. Claims that are None are left out."""
        now = int(time.time())
        full = {
            "aud": "authenticated",
            "role": "authenticated",
            "iss": self.issuer,
            "sub": str(user_id),
            "email": f"{user_id}@example.com",
            "session_id": secrets.token_hex(16),
            "is_anonymous": False,
            "iat": now,
            "exp": now + 3600,
        } | claims
        kid = {"kid": self.kids[algorithm]} if algorithm in self.kids else {}
        return jwt.encode(
            {name: value for name, value in full.items() if value is not None},
            self._signing_key(algorithm),
            algorithm,
            headers={**kid, **(headers or {})},
        )

    def role_token(self, role: str) -> str:
        """A token for PostgREST that represents an API key."""
        return jwt.encode({"role": role}, self.secret, "HS256")

    def for_postgrest(self, token: str) -> str:
        """The same claims signed with PostgREST's only key. Raises jwt.PyJWTError if invalid."""
        algorithm = jwt.get_unverified_header(token).get("alg", "")
        if algorithm not in ("HS256", "ES256", "RS256"):
            raise jwt.InvalidAlgorithmError(algorithm)
        key = self.secret if algorithm == "HS256" else self._pairs[algorithm].public_key()
        claims = jwt.decode(token, key, [algorithm], audience="authenticated")
        return jwt.encode(claims, self.secret, "HS256")

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token for PostgREST."""
        options = {"verify_aud": False}
        return dict(jwt.decode(token, self.secret, ["HS256"], options=options))  # type: ignore[arg-type]

    def _signing_key(self, algorithm: str) -> Any:
        return self.secret if algorithm == "HS256" else self._pairs[algorithm]

    def _public_key(self, algorithm: str) -> dict[str, Any]:
        signer: Any = jwt.get_algorithm_by_name(algorithm)
        key = json.loads(signer.to_jwk(self._pairs[algorithm].public_key()))
        return {**key, "kid": self.kids[algorithm], "alg": algorithm, "use": "sig"}
