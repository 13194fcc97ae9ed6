"""With which token does Vault let us in, and until when?

A token that ends is renewed at half of its life, before whatever is asked next. One that has died in spite of that is
replaced: by a new login, or by what the token file holds by now.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from agent.clock import Clock
from agent.errors import KeyUnavailable
from agent.keys.vault_transit.server import Said, Server, members, not_understood
from agent.secret import Secret

#: How a secret is had: read anew each time, since files are replaced. Blocks; raises KeyUnavailable.
Reader = Callable[[], Secret]

_LOOK_UP: Final = "auth/token/lookup-self"
_RENEW: Final = "auth/token/renew-self"


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that somebody else gets and writes into a file."""

    token: Reader


@dataclass(frozen=True, slots=True)
class AppRole:
    """A login with a role id and a secret id; `mount` is the auth method's path."""

    role_id: Reader
    secret_id: Reader
    mount: str = "approle"


@dataclass(frozen=True, slots=True)
class Jwt:
    """A login with a JWT, as of Kubernetes: by the methods jwt and kubernetes alike; `mount` is the method's path."""

    token: Reader
    role: str
    mount: str = "jwt"


Login = TokenFile | AppRole | Jwt


@dataclass(frozen=True, slots=True)
class _Held:
    """A token; instants are steady seconds, None is never. `life` is how many seconds it had when it was issued."""

    token: Secret
    life: float
    due: float | None
    ends: float | None
    renewable: bool


class Access:
    """Vault, for one who has a right to it; everything here blocks, and is called by one thread at a time."""

    def __init__(self, server: Server, login: Login, clock: Clock) -> None:
        """Sign in when first asked, not now."""
        self._server = server
        self._login = login
        self._clock = clock
        self._held: _Held | None = None

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Ask with a token that works, if one is to be had. Raises KeyUnavailable and Said."""
        token = self._current()
        try:
            return self._server.ask(method, path, body, token=token)
        except Said as said:
            # 403 is said of a token that has died as of one whose policies do not reach so far.
            if said.status != 403 or self._lives(token):
                raise
        self._held = None
        return self._server.ask(method, path, body, token=self._current())

    def see_to_token(self) -> float | None:
        """Renew or replace the token if that is due; seconds until it is due again, None for never.

        Raises KeyUnavailable.
        """
        self._current()
        if self._held is None or self._held.due is None:
            return None
        return max(0.0, self._held.due - self._clock.steady())

    def _current(self) -> Secret:
        held = self._held
        if isinstance(self._login, TokenFile):
            token = self._from_file(self._login, held)
            if held is None or token != held.token:
                held = self._looked_up(token)
        elif held is None or (held.ends is not None and self._clock.steady() >= held.ends):
            held = self._signed_in(self._login)
        if held.due is not None and self._clock.steady() >= held.due:
            held = self._prolonged(held)
        self._held = held
        return held.token

    def _from_file(self, login: TokenFile, held: _Held | None) -> Secret:
        try:
            return _sendable(login.token(), "token")
        except KeyUnavailable:
            # Somebody may be writing it just now; the token that it held is as good as before.
            if held is None:
                raise
            return held.token

    def _lives(self, token: Secret) -> bool:
        try:
            self._server.ask("GET", _LOOK_UP, token=token)
        except Said as said:
            return said.status != 403
        return True

    def _looked_up(self, token: Secret) -> _Held:
        """A token out of the file, and what Vault knows of it."""
        try:
            known = members(self._server.ask("GET", _LOOK_UP, token=token), "data")
        except Said as said:
            raise (_expired() if said.status == 403 else self._server.explained(said)) from said
        return self._lasting(token, known.get("ttl"), renewable=known.get("renewable") is True)

    def _prolonged(self, held: _Held) -> _Held:
        """A token with more life before it; the same if that cannot be, as it still works. Raises KeyUnavailable."""
        if held.renewable:
            with suppress(Said):  # it cannot be renewed, after all
                renewed = members(self._server.ask("POST", _RENEW, {}, token=held.token), "auth")
                longer = self._lasting(held.token, renewed.get("lease_duration"), renewable=True)
                # Vault renews up to a token's greatest age and no further: what is left gets shorter each time.
                if isinstance(self._login, TokenFile) or longer.life >= held.life / 2:
                    return replace(longer, life=held.life)
        if not isinstance(self._login, TokenFile):
            with suppress(KeyUnavailable):  # told when the token that there is works no more
                return self._signed_in(self._login)
        return replace(held, due=_halfway(self._clock.steady(), held.ends))

    def _signed_in(self, login: AppRole | Jwt) -> _Held:
        body: Mapping[str, object]
        if isinstance(login, AppRole):
            role_id, secret_id = _sendable(login.role_id(), "role id"), _sendable(login.secret_id(), "secret id")
            body = {"role_id": role_id.reveal(), "secret_id": secret_id.reveal()}
        else:
            body = {"role": login.role, "jwt": _sendable(login.token(), "JWT").reveal()}
        try:
            answer = members(self._server.ask("POST", f"auth/{login.mount}/login", body), "auth")
        except Said as said:
            raise _refused(login, said) from said
        token = answer.get("client_token")
        if not isinstance(token, str) or not token:
            raise KeyUnavailable(
                f"the login at auth/{login.mount} gave no token",
                hint="see whether the role asks for a second factor, which a machine does not have",
            )
        return self._lasting(
            _sendable(Secret(token), "token"), answer.get("lease_duration"), renewable=answer.get("renewable") is True
        )

    def _lasting(self, token: Secret, seconds: object, *, renewable: bool) -> _Held:
        if not isinstance(seconds, int) or seconds < 0:
            raise not_understood("it does not say how long the token lives")
        if seconds == 0:
            return _Held(token, life=0, due=None, ends=None, renewable=False)
        now = self._clock.steady()
        replaceable = renewable or not isinstance(self._login, TokenFile)
        return _Held(token, seconds, now + seconds / 2 if replaceable else None, now + seconds, renewable)


def _halfway(now: float, ends: float | None) -> float | None:
    return None if ends is None or ends <= now else (now + ends) / 2


def _sendable(secret: Secret, what: str) -> Secret:
    """The secret without the blanks around it, if it can be one. Raises KeyUnavailable."""
    bare = secret.reveal().strip()
    if not bare or not bare.isascii() or not bare.isprintable() or " " in bare:
        raise KeyUnavailable(
            f"the file for the {what} of Vault is empty or holds something else",
            hint=f"write the {what} there, and nothing else",
        )
    return Secret(bare)


def _expired() -> KeyUnavailable:
    return KeyUnavailable(
        "the Vault token has expired or was revoked, or may not even look itself up",
        hint="write a new one into the token file, which is read again without a restart: "
        "vault token create -orphan -period=24h -policy=rolecall",
    )


def _refused(login: AppRole | Jwt, said: Said) -> KeyUnavailable:
    if isinstance(login, AppRole):
        return KeyUnavailable(
            f"Vault refused the AppRole login at auth/{login.mount}: {said.words}",
            hint="the secret id may have expired or been used up, or the mount or role id be wrong; write a new "
            "secret id into its file: vault write -f -field=secret_id auth/approle/role/ROLE/secret-id",
        )
    return KeyUnavailable(
        f"Vault refused the login with a JWT at auth/{login.mount} as {login.role}: {said.words}",
        hint="see whether the JWT has expired (whoever writes its file must replace it in time), whether its audience "
        "and subject are those that the role is bound to, and whether mount and role are right",
    )
