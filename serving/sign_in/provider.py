"""Single sign-on by OpenID Connect: the code flow with PKCE, and the claims of the token that make an account.

What a round must remember is derived from the random text of one cookie: the state that comes back with the browser,
the nonce that comes back in the token, and PKCE's verifier. So nothing of a round is kept on this side.
OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7; RFC 7636.
"""

import hmac
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from serving.sign_in.passwords import hash_secret
from serving.sign_in.users import SignInError, User

if TYPE_CHECKING:
    import httpx

    from company.policy.serving import SingleSignOn

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
DISCOVERY = "/.well-known/openid-configuration"
_SECONDS = 10
_LEEWAY_SECONDS = 60
_UNUSABLE = "provider"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who somebody is by a provider: the one text that never changes, and the account that their claims make."""

    subject: str
    user: User


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider as the policy declares it; `transport` reaches it by another way than the network."""

    settings: "SingleSignOn"
    secret: str | None = None
    transport: "httpx.AsyncBaseTransport | None" = None

    async def begin(self, secret: str, *, redirect_uri: str) -> str:
        """Return the address at the provider to which a browser with the cookie `secret` is sent.

        Raises SignInError when the provider does not answer.
        """
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

        async with self._open(redirect_uri) as client:
            described = await self._discover(client)
            address, _ = client.create_authorization_url(
                described["authorization_endpoint"],
                state=hash_secret(secret, "state"),
                nonce=hash_secret(secret, "nonce"),
                code_challenge=create_s256_code_challenge(hash_secret(secret, "verifier")),
                code_challenge_method="S256",
            )
        return str(address)

    async def finish(self, secret: str, *, redirect_uri: str, answer: Mapping[str, str], at: datetime) -> Identity:
        """Return who came back from the provider with `answer`, the parameters of the address.

        Raises SignInError for an answer to another browser, a code or token that does not hold, and for somebody whose
        claims give no role.
        """
        if not hmac.compare_digest(answer.get("state", ""), hash_secret(secret, "state")) or "code" not in answer:
            raise SignInError(_UNUSABLE)
        async with self._open(redirect_uri) as client:
            described = await self._discover(client)
            keys = await _read(client, described["jwks_uri"])
            token = await self._fetch_token(
                client, described["token_endpoint"], answer, hash_secret(secret, "verifier")
            )
        claims = self._verify(str(token.get("id_token", "")), keys, nonce=hash_secret(secret, "nonce"), at=at)
        return self._identify(claims)

    def _open(self, redirect_uri: str) -> Any:  # noqa: ANN401 - authlib has no types
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

        return AsyncOAuth2Client(
            client_id=self.settings.client_id,
            client_secret=self.secret,
            token_endpoint_auth_method="client_secret_basic" if self.secret else "none",
            scope=self.settings.scope,
            redirect_uri=redirect_uri,
            transport=self.transport,
            timeout=_SECONDS,
        )

    async def _discover(self, client: Any) -> Mapping[str, Any]:  # noqa: ANN401 - authlib has no types
        described = await _read(client, f"{self.settings.issuer.rstrip('/')}{DISCOVERY}")
        if described.get("issuer") != self.settings.issuer:
            raise SignInError(_UNUSABLE)
        return described

    async def _fetch_token(
        self,
        client: Any,  # noqa: ANN401 - authlib has no types
        endpoint: str,
        answer: Mapping[str, str],
        verifier: str,
    ) -> Mapping[str, Any]:
        import httpx
        from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]

        try:
            token: Mapping[str, Any] = await client.fetch_token(
                endpoint, authorization_response=f"?{urlencode(answer)}", code_verifier=verifier
            )
        except (AuthlibBaseError, httpx.HTTPError, ValueError):
            raise SignInError(_UNUSABLE) from None
        return token

    def _verify(self, token: str, keys: Mapping[str, Any], *, nonce: str, at: datetime) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        registry = jwt.JWTClaimsRegistry(
            now=int(at.timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            azp={"value": self.settings.client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)  # type: ignore[arg-type]
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError):
            raise SignInError(_UNUSABLE) from None
        return decoded.claims

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        given = claims.get(self.settings.role_claim) or []
        held = {given} if isinstance(given, str) else {str(each) for each in given}
        role = next((role for value, role in self.settings.roles.items() if value in held), None)
        if role is None:
            raise SignInError("no_role")
        name = str(claims.get(self.settings.name_claim) or claims["sub"])
        owner, region = (
            None if claim is None or not claims.get(claim) else str(claims[claim])
            for claim in (self.settings.owner_claim, self.settings.region_claim)
        )
        user = User(name=name, role=role, owner=owner, region=region)
        return Identity(subject=f"{self.settings.issuer}|{claims['sub']}", user=user)


def open_provider(
    settings: "SingleSignOn | None",
    *,
    roles: Container[str],
    secrets: Mapping[str, str],
    transport: "httpx.AsyncBaseTransport | None" = None,
) -> Provider | None:
    """Return the provider that the policy declares, None without one.

    Raises ValueError when a role does not exist, or the environment has no secret of that name.
    """
    if settings is None:
        return None
    unknown = sorted(role for role in settings.roles.values() if role not in roles)
    if unknown:
        raise ValueError(f"`desk.single_sign_on.roles` names {unknown[0]!r}, which serving/access.yaml does not have.")
    if settings.secret is not None and not secrets.get(settings.secret):
        raise ValueError(
            f"`desk.single_sign_on.secret` names {settings.secret!r}, which the environment does not have."
        )
    return Provider(settings=settings, secret=secrets.get(settings.secret or ""), transport=transport)


async def _read(client: Any, address: str) -> Mapping[str, Any]:  # noqa: ANN401 - authlib has no types
    """Return a public document of the provider. Raises SignInError when there is none."""
    import httpx

    try:
        answer = await client.request("GET", address, withhold_token=True)
        answer.raise_for_status()
        document: Mapping[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError):
        raise SignInError(_UNUSABLE) from None
    return document
