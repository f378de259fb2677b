"""Which user tokens are valid, and where the keys come from."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge import identity
from edge.errors import ApiError
from edge.identity import (
    KEYS_LIVE_SECONDS,
    LEEWAY_SECONDS,
    MAX_TOKEN_CHARS,
    REFETCH_SECONDS,
    UserTokens,
    bearer_token,
)
from tests.support.keys import Algorithm, Keys

ISSUER = "https://abc.supabase.co/auth/v1"
USER = UUID("c0ffee00-0000-4000-8000-0000000000aa")
OURS = Keys(ISSUER)
STRANGER = Keys(ISSUER)
OTHER_PROJECT = Keys("https://xyz.supabase.co/auth/v1")


class Published:
    """The endpoint of the published keys: its response, and how often it was called."""

    def __init__(self) -> None:
        self.answer: httpx.Response | Exception = httpx.Response(200, json=OURS.jwks())
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{ISSUER}/.well-known/jwks.json"
        self.requests += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def keys(self, *keys: dict[str, Any]) -> None:
        self.answer = httpx.Response(200, json={"keys": list(keys)})


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def user_tokens(published: Published, clock: Clock, secret: str | None) -> UserTokens:
    http = httpx.AsyncClient(transport=httpx.MockTransport(published))
    return UserTokens(
        lambda: http,
        issuer=ISSUER,
        keys_url=f"{ISSUER}/.well-known/jwks.json",
        secret=secret,
        clock=clock,
    )


@pytest.fixture
def tokens(published: Published, clock: Clock) -> UserTokens:
    """The verifier of a project with published keys and a legacy secret."""
    return user_tokens(published, clock, OURS.secret)


@pytest.fixture
def modern(published: Published, clock: Clock) -> UserTokens:
    """The verifier of a project without a legacy secret."""
    return user_tokens(published, clock, None)


async def refused(tokens: UserTokens, token: str, status: int = 401) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await tokens.user_id(token)
    assert caught.value.status == status
    return caught.value


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def handmade(header: Any, key: bytes = b"", **claims: Any) -> str:
    """A token that libraries refuse to make: any header, signed with any bytes by HS256."""
    payload = {"aud": "authenticated", "iss": ISSUER, "sub": str(USER), "exp": 2**33} | claims
    signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(payload).encode())}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64url(signature)}"


def api_key(role: str, **claims: Any) -> str:
    """A legacy API key, which is a token signed with the project's secret."""
    now = int(time.time())
    payload = {"iss": "supabase", "ref": "abc", "role": role, "iat": now, "exp": now + 3600}
    return jwt.encode(payload | claims, OURS.secret, "HS256")


def public_pem(algorithm: str) -> bytes:
    """The published key as PEM, which an attacker has as well."""
    [key] = [key for key in OURS.jwks()["keys"] if key["alg"] == algorithm]
    public = jwt.PyJWK(key).key
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def count_verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature is verified from now on."""
    decode, verified = jwt.decode, list[str]()

    def counted(token: str, *given: Any, **how: Any) -> Any:
        verified.append(token)
        return decode(token, *given, **how)

    monkeypatch.setattr(jwt, "decode", counted)
    return verified


class TestAccepted:
    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    async def test_each_algorithm_with_its_own_key(
        self, tokens: UserTokens, algorithm: Algorithm
    ) -> None:
        assert await tokens.user_id(OURS.token(USER, algorithm)) == USER

    async def test_is_verified_once_and_longest_unused_forgotten(
        self, published: Published, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified = count_verified(monkeypatch)
        monkeypatch.setattr(identity, "REMEMBERED_TOKENS", 2)
        tokens = user_tokens(published, clock, None)
        one, two, three = (OURS.token(USER, jti=name) for name in ("one", "two", "three"))
        for token in (one, two, one, three, one, two):
            assert await tokens.user_id(token) == USER
        assert verified == [one, two, three, two]

    async def test_is_verified_again_when_the_keys_have_changed_or_are_old(
        self,
        modern: UserTokens,
        published: Published,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        verified = count_verified(monkeypatch)
        token, new = OURS.token(USER), Keys(ISSUER)
        for _ in range(2):
            assert await modern.user_id(token) == USER
        clock.now += KEYS_LIVE_SECONDS + 1
        for _ in range(2):
            assert await modern.user_id(token) == USER
        assert (verified, published.requests) == ([token] * 2, 2)
        published.keys(*OURS.jwks()["keys"], *new.jwks()["keys"])
        clock.now += REFETCH_SECONDS + 1
        another = new.token(USER)
        for given in (another, token, another, token):
            assert await modern.user_id(given) == USER
        assert verified == [token, token, another, token]

    async def test_of_the_secret_is_verified_once(
        self, tokens: UserTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified = count_verified(monkeypatch)
        token = OURS.token(USER, "HS256")
        assert await tokens.user_id(token) == USER
        clock.now += KEYS_LIVE_SECONDS + 1
        assert await tokens.user_id(token) == USER
        assert verified == [token]

    async def test_token_of_the_secret_needs_no_published_keys(
        self, tokens: UserTokens, published: Published
    ) -> None:
        await tokens.user_id(OURS.token(USER, "HS256"))
        assert published.requests == 0

    @pytest.mark.parametrize(
        ("claim", "seconds"),
        [
            pytest.param("exp", 5 - LEEWAY_SECONDS, id="just-expired"),
            pytest.param("nbf", LEEWAY_SECONDS - 5, id="good-in-a-moment"),
            pytest.param("iat", LEEWAY_SECONDS - 5, id="issued-in-a-moment"),
        ],
    )
    async def test_clocks_may_differ_a_little(
        self, tokens: UserTokens, claim: str, seconds: int
    ) -> None:
        claims: dict[str, Any] = {claim: int(time.time()) + seconds}
        assert await tokens.user_id(OURS.token(USER, **claims)) == USER

    async def test_token_of_the_secret_may_name_no_issuer(self, tokens: UserTokens) -> None:
        """Some local Auth servers omit it, and only the project has its secret."""
        assert await tokens.user_id(OURS.token(USER, "HS256", iss=None)) == USER

    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({"role": None}, id="no-role"),
            pytest.param({"aud": ["authenticated", "other"]}, id="several-audiences"),
        ],
    )
    async def test_claims_that_auth_may_leave_out_or_add(
        self, tokens: UserTokens, claims: dict[str, Any]
    ) -> None:
        assert await tokens.user_id(OURS.token(USER, **claims)) == USER

    async def test_published_key_that_does_not_name_its_algorithm(
        self, modern: UserTokens, published: Published
    ) -> None:
        keys = OURS.jwks()["keys"]
        published.keys(*({k: v for k, v in key.items() if k != "alg"} for key in keys))
        assert await modern.user_id(OURS.token(USER, "ES256")) == USER
        assert await modern.user_id(OURS.token(USER, "RS256")) == USER

    async def test_published_keys_of_other_kinds_are_passed_over(
        self, modern: UserTokens, published: Published
    ) -> None:
        published.keys({"kty": "novel", "kid": "n"}, {"kty": "EC"}, *OURS.jwks()["keys"])
        assert await modern.user_id(OURS.token(USER)) == USER


class TestRefused:
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param("", id="nothing"),
            pytest.param("garbage", id="garbage"),
            pytest.param("a.b.c", id="three-parts"),
            pytest.param("....", id="dots"),
            pytest.param("ключ.от.двери", id="not-ascii"),
            pytest.param("\udc80.a.b", id="not-text"),
            pytest.param("sb_publishable_abc", id="publishable-key"),
            pytest.param("sb_secret_abc", id="secret-key"),
            pytest.param(f"{base64url(b'[' * 40_000)}.e30.e30", id="nested-too-deep"),
            pytest.param(handmade([]), id="header-is-a-list"),
            pytest.param(handmade({}), id="header-is-empty"),
            pytest.param(handmade({"alg": 5}), id="algorithm-is-a-number"),
            pytest.param(handmade({"alg": "ES256"}), id="no-key-id"),
            pytest.param(handmade({"alg": "ES256", "kid": []}), id="key-id-is-a-list"),
            pytest.param(handmade({"alg": "HS512"}, b"secret"), id="algorithm-nobody-uses"),
        ],
    )
    async def test_what_is_no_token_of_a_person(self, tokens: UserTokens, token: str) -> None:
        error = await refused(tokens, token)
        assert (error.code, error.message) == ("unauthorized", "Please sign in again.")

    @pytest.mark.parametrize("algorithm", [[], {}], ids=["list", "object"])
    async def test_algorithm_that_is_no_word(self, tokens: UserTokens, algorithm: object) -> None:
        await refused(tokens, handmade({"alg": algorithm, "kid": OURS.kids["ES256"]}))

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    @pytest.mark.parametrize(
        ("claim", "seconds"),
        [
            pytest.param("exp", -LEEWAY_SECONDS - 1, id="expired"),
            pytest.param("nbf", LEEWAY_SECONDS + 10, id="not-yet-valid"),
            pytest.param("iat", LEEWAY_SECONDS + 10, id="issued-in-the-future"),
        ],
    )
    async def test_token_outside_its_time_is_rejected(
        self, tokens: UserTokens, algorithm: Algorithm, claim: str, seconds: int
    ) -> None:
        claims: dict[str, Any] = {claim: int(time.time()) + seconds}
        await refused(tokens, OURS.token(USER, algorithm, **claims))

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({"exp": None}, id="no-expiry"),
            pytest.param({"exp": "never"}, id="expiry-is-no-time"),
            pytest.param({"aud": "anon"}, id="wrong-audience"),
            pytest.param({"aud": None}, id="no-audience"),
            pytest.param({"iss": "https://abc.supabase.co"}, id="wrong-issuer"),
            pytest.param({"iss": f"{ISSUER}/"}, id="almost-the-issuer"),
            pytest.param({"sub": None}, id="no-subject"),
            pytest.param({"sub": ""}, id="empty-subject"),
            pytest.param({"sub": "admin"}, id="subject-is-no-uuid"),
            pytest.param({"role": "anon"}, id="role-anon"),
            pytest.param({"role": "service_role"}, id="role-service"),
            pytest.param({"role": ["authenticated"]}, id="role-is-a-list"),
        ],
    )
    async def test_token_with_a_wrong_claim_is_rejected(
        self, tokens: UserTokens, algorithm: Algorithm, claims: dict[str, Any]
    ) -> None:
        await refused(tokens, OURS.token(USER, algorithm, **claims))

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
    async def test_no_issuer_on_a_published_key(
        self, tokens: UserTokens, algorithm: Algorithm
    ) -> None:
        await refused(tokens, OURS.token(USER, algorithm, iss=None))

    @pytest.mark.parametrize("role", ["anon", "service_role"])
    async def test_legacy_api_key_is_rejected(self, tokens: UserTokens, role: str) -> None:
        await refused(tokens, api_key(role))
        everything_else = {"aud": "authenticated", "sub": str(USER)}
        await refused(tokens, api_key(role, iss=ISSUER, **everything_else))
        await refused(tokens, OURS.token(USER, "HS256", iss=None, role=role))

    async def test_unsigned_token_is_rejected(self, tokens: UserTokens) -> None:
        for algorithm in ("none", "None", "NONE"):
            unsigned = handmade({"alg": algorithm}).rpartition(".")[0] + "."
            await refused(tokens, unsigned)

    async def test_token_without_its_signature_is_rejected(self, tokens: UserTokens) -> None:
        for algorithm in ("HS256", "ES256", "RS256"):
            token = OURS.token(USER, algorithm)
            await refused(tokens, token.rpartition(".")[0] + ".")

    async def test_claims_of_another_token_are_rejected(self, tokens: UserTokens) -> None:
        header, _, signature = OURS.token(USER).split(".")
        _, claims, _ = OURS.token(UUID(int=1)).split(".")
        await refused(tokens, f"{header}.{claims}.{signature}")

    @pytest.mark.parametrize("project", ["tokens", "modern"])
    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
    async def test_published_key_used_as_the_secret(
        self, request: pytest.FixtureRequest, project: str, algorithm: str
    ) -> None:
        tokens = request.getfixturevalue(project)
        for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": OURS.kids[algorithm]}):
            for key in (public_pem(algorithm), public_pem(algorithm).strip()):
                await refused(tokens, handmade(header, key))

    async def test_secret_when_the_project_has_none(
        self, modern: UserTokens, published: Published
    ) -> None:
        await refused(modern, OURS.token(USER, "HS256"))
        await refused(modern, handmade({"alg": "HS256"}, b""))
        assert published.requests == 0

    async def test_empty_secret_is_no_secret(self, published: Published, clock: Clock) -> None:
        await refused(user_tokens(published, clock, ""), handmade({"alg": "HS256"}, b""))

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    async def test_token_of_another_project_is_rejected(
        self, tokens: UserTokens, algorithm: Algorithm
    ) -> None:
        await refused(tokens, OTHER_PROJECT.token(USER, algorithm))

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    async def test_stranger_who_names_our_key(
        self, tokens: UserTokens, algorithm: Algorithm
    ) -> None:
        ours = {"kid": OURS.kids.get(algorithm, OURS.kids["ES256"])}
        await refused(tokens, STRANGER.token(USER, algorithm, headers=ours))

    @pytest.mark.parametrize(("algorithm", "named"), [("ES256", "RS256"), ("RS256", "ES256")])
    async def test_algorithm_of_another_key_type_is_rejected(
        self, tokens: UserTokens, algorithm: Algorithm, named: str
    ) -> None:
        await refused(tokens, OURS.token(USER, algorithm, headers={"kid": OURS.kids[named]}))

    async def test_published_secret_is_not_used(
        self, modern: UserTokens, published: Published
    ) -> None:
        shared = {"kty": "oct", "kid": "o", "alg": "HS256", "k": base64url(OURS.secret.encode())}
        published.keys(shared, *OURS.jwks()["keys"])
        await refused(modern, OURS.token(USER, "HS256", headers={"kid": "o"}))


DIGITS = "9" * 400
ODD = [
    "1e400",
    "-1e400",
    "NaN",
    "-Infinity",
    DIGITS,
    f"-{DIGITS}",
    "9" * 5_000,
    "true",
    "null",
    "[]",
]
ODD += [
    "{}",
    '""',
    '"never"',
    '["x"]',
    '{"x": [1]}',
    "[" * 3_000 + "]" * 3_000,
    '"\\u0000"',
    "-0.5",
]
"""Possible values of a claim, as JSON."""


def odd_token(claim: str, value: str, **header: Any) -> str:
    """A token signed by the project, with a claim value that no library would write."""
    claims = {"aud": '"authenticated"', "iss": f'"{ISSUER}"', "sub": f'"{USER}"', "exp": "8e9"}
    pairs = ", ".join(f'"{name}": {json}' for name, json in (claims | {claim: value}).items())
    head = json.dumps({"alg": "HS256"} | header).encode()
    signed = f"{base64url(head)}.{base64url(f'{{{pairs}}}'.encode())}"
    signature = hmac.new(OURS.secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64url(signature)}"


class TestOddTokens:
    """Signed by the project but invalid: 401, never a 500."""

    @pytest.mark.parametrize("value", ODD)
    @pytest.mark.parametrize("claim", ["exp", "sub", "aud", "iss", "role"])
    async def test_claim_of_any_shape_and_size(
        self, tokens: UserTokens, claim: str, value: str
    ) -> None:
        await refused(tokens, odd_token(claim, value))

    @pytest.mark.parametrize("value", ODD)
    @pytest.mark.parametrize("claim", ["nbf", "iat", "jti", "session_id"])
    async def test_claim_that_may_be_missing(
        self, tokens: UserTokens, claim: str, value: str
    ) -> None:
        [outcome] = await asyncio.gather(
            tokens.user_id(odd_token(claim, value)), return_exceptions=True
        )
        assert outcome == USER or getattr(outcome, "status", None) == 401

    @pytest.mark.parametrize("expiry", ["9007199254740992", "1e17", "0", "-8e9"])
    async def test_expiry_that_is_no_time(self, tokens: UserTokens, expiry: str) -> None:
        await refused(tokens, odd_token("exp", expiry))

    async def test_expiry_may_have_a_fraction(self, tokens: UserTokens) -> None:
        assert await tokens.user_id(odd_token("exp", "8000000000.5")) == USER

    @pytest.mark.parametrize(
        "header",
        [
            {"crit": ["exp"]},
            {"crit": []},
            {"b64": False},
            {"b64": False, "crit": ["b64"]},
            {"alg": "ES256", "kid": "k" * 8_000},
            {"alg": "ES256", "kid": {"k": 1}},
            {"alg": "ES256", "kid": 5},
            {"kid": 5},
        ],
    )
    async def test_header_that_asks_for_something_else(
        self, tokens: UserTokens, header: dict[str, Any]
    ) -> None:
        await refused(tokens, odd_token("sub", f'"{USER}"', **header))

    async def test_token_that_is_too_long_is_not_read(
        self, tokens: UserTokens, published: Published
    ) -> None:
        fits = odd_token("note", f'"{"x" * 10_000}"')
        assert await tokens.user_id(fits) == USER
        await refused(tokens, odd_token("note", f'"{"x" * MAX_TOKEN_CHARS}"'))
        await refused(tokens, OURS.token(USER, "ES256", note="x" * MAX_TOKEN_CHARS))
        assert published.requests == 0


class TestRotation:
    async def test_keys_are_fetched_once(self, modern: UserTokens, published: Published) -> None:
        for algorithm in ("ES256", "RS256", "ES256"):
            await modern.user_id(OURS.token(USER, algorithm))
        assert published.requests == 1

    async def test_first_tokens_at_the_same_time_share_a_fetch(
        self, modern: UserTokens, published: Published
    ) -> None:
        token = OURS.token(USER)
        users = await asyncio.gather(*(modern.user_id(token) for _ in range(10)))
        assert (set(users), published.requests) == ({USER}, 1)

    async def test_made_up_key_ids_cause_no_flood(
        self, modern: UserTokens, published: Published, clock: Clock
    ) -> None:
        await modern.user_id(OURS.token(USER))
        for number in range(20):
            await refused(modern, STRANGER.token(USER, headers={"kid": f"made-up-{number}"}))
        assert published.requests == 1

        clock.now += REFETCH_SECONDS + 1
        for number in range(20):
            await refused(modern, STRANGER.token(USER, headers={"kid": f"made-up-{number}"}))
        assert published.requests == 2

    async def test_new_key_is_found(
        self, modern: UserTokens, published: Published, clock: Clock
    ) -> None:
        await modern.user_id(OURS.token(USER))
        new = Keys(ISSUER)
        published.keys(*OURS.jwks()["keys"], *new.jwks()["keys"])
        clock.now += REFETCH_SECONDS + 1

        assert await modern.user_id(new.token(USER)) == USER
        assert await modern.user_id(OURS.token(USER)) == USER
        assert published.requests == 2

    async def test_withdrawn_key_is_refused_in_the_end(
        self, modern: UserTokens, published: Published, clock: Clock
    ) -> None:
        await modern.user_id(OURS.token(USER))
        published.keys(*Keys(ISSUER).jwks()["keys"])
        clock.now += KEYS_LIVE_SECONDS + 1
        await refused(modern, OURS.token(USER))

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(httpx.ConnectError("refused"), id="unreachable"),
            pytest.param(httpx.ReadTimeout("late"), id="late"),
            pytest.param(httpx.Response(503), id="503"),
            pytest.param(httpx.Response(302, headers={"Location": "/login"}), id="redirect"),
            pytest.param(httpx.Response(200, text="<html>"), id="page"),
            pytest.param(httpx.Response(200, json={"message": "try later"}), id="no-keys"),
            pytest.param(httpx.Response(200, json=["key"]), id="list"),
            pytest.param(httpx.Response(200, json="key"), id="text"),
        ],
    )
    class TestFetchThatFails:
        async def test_leaves_the_keys_at_hand(
            self,
            modern: UserTokens,
            published: Published,
            clock: Clock,
            answer: httpx.Response | Exception,
        ) -> None:
            await modern.user_id(OURS.token(USER))
            published.answer = answer
            clock.now += KEYS_LIVE_SECONDS + 1
            assert await modern.user_id(OURS.token(USER)) == USER
            await refused(modern, STRANGER.token(USER))

        async def test_is_said_when_there_are_no_keys_and_tried_again(
            self,
            modern: UserTokens,
            published: Published,
            clock: Clock,
            answer: httpx.Response | Exception,
        ) -> None:
            good, published.answer = published.answer, answer
            error = await refused(modern, OURS.token(USER), status=503)
            assert error.code == "sign_in_unavailable"
            assert error.headers() == {"Retry-After": "5"}

            published.answer = good
            clock.now += REFETCH_SECONDS + 1
            assert await modern.user_id(OURS.token(USER)) == USER

    async def test_failing_fetch_is_not_repeated_for_every_token(
        self, modern: UserTokens, published: Published, clock: Clock
    ) -> None:
        await modern.user_id(OURS.token(USER))
        published.answer = httpx.Response(503)
        clock.now += KEYS_LIVE_SECONDS + 1
        for _ in range(20):
            await modern.user_id(OURS.token(USER))
        assert published.requests == 2

    async def test_project_that_publishes_no_keys(
        self, tokens: UserTokens, published: Published
    ) -> None:
        """Supabase's response for a project that has only a legacy secret."""
        published.keys()
        for _ in range(20):
            await refused(tokens, STRANGER.token(USER))
        assert published.requests == 1


class TestBearerToken:
    @pytest.mark.parametrize(
        "header", ["Bearer abc", "bearer abc", "BEARER abc", "  Bearer   abc  "]
    )
    def test_bearer_token_is_taken_from_the_header(self, header: str) -> None:
        assert bearer_token(header) == "abc"

    @pytest.mark.parametrize(
        "header", [None, "", " ", "Bearer", "Bearer ", "abc", "Basic abc", "Bearerabc", "Token a b"]
    )
    def test_missing_bearer_token_is_401(self, header: str | None) -> None:
        with pytest.raises(ApiError, match="unauthorized") as caught:
            bearer_token(header)
        assert (caught.value.status, "no bearer token" in caught.value.message) == (401, True)
