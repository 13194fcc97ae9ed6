"""Who holds the private key? The Transit engine of Vault or OpenBao.

A Transit key has versions, each a key pair of its own: they are the keys of a rotation, the third of KEY being called
"KEY:v3". A version never changes and never comes back, as long as nobody deletes the whole key. So every signature is
checked against the public half that was read when the version was opened: another key of the same name signs nothing.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

from agent.clock import Clock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey, SigningKey
from agent.keys.halves import Public, described, made_by, prove
from agent.keys.vault_transit.access import Access, AppRole, Jwt, Login, TokenFile
from agent.keys.vault_transit.server import Place, Said, Server, members, not_understood
from agent.keys.vault_transit.versions import TYPES, TransitKey
from agent.turns import Turns

__all__ = ["AppRole", "Jwt", "Login", "Place", "TokenFile", "VaultTransit"]

T = TypeVar("T")
P = ParamSpec("P")

_NAME: Final = re.compile(r"(?P<key>.+):v(?P<version>[1-9][0-9]{0,8})")
_SIGNATURE: Final = re.compile(r"vault:v(?P<version>[0-9]{1,9}):(?P<signature>[A-Za-z0-9+/_=-]+)")
_HASHES: Final = {"256": "sha2-256", "384": "sha2-384", "512": "sha2-512"}

#: `stay_signed_in` looks at least so often whether the token file has been replaced, in seconds, ...
_LONGEST_SLEEP: Final = 600.0
#: ... and never more often than this: what is left of a token that nobody can renew halves for ever.
_SHORTEST_SLEEP: Final = 5.0


class VaultTransit:
    """The versions of one Transit key, which is ours alone."""

    def __init__(
        self,
        place: Place,
        login: Login,
        key: str,
        *,
        clock: Clock,
        mount: str = "transit",
        algorithm: Algorithm | None = None,
        make_keys: bool = True,
        patience: float = 15.0,
    ) -> None:
        """Connect when first asked, not now.

        `make_keys` lets `make` make the key or add a version to it, and `discard` destroy versions; `patience` is how
        many seconds anything may last. `algorithm` None is RS256 for RSA, and what fits the curve for EC.
        """
        self._server = Server(place, patience, clock)
        self._access = Access(self._server, login, clock)
        self._turns = Turns(clock, patience)
        self._clock = clock
        self._key = key
        self._mount = mount
        self._algorithm = algorithm
        self._make_keys = make_keys
        self._origin = f"the key {mount}/keys/{key} in Vault"
        self._address = place.address
        self._unwanted: set[int] = set()
        self._closed = False

    @property
    def kind(self) -> str:
        """What `key.custodian` calls it."""
        return "vault_transit"

    async def names(self) -> Sequence[str]:
        """The latest version, or nothing where there is no such key yet. Raises KeyUnavailable."""
        there = await self._turn(self._described)
        return [] if there is None else [f"{self._key}:v{there.latest}"]

    async def open(self, name: str) -> SigningKey:
        """The version of that name, which stays what it is when others are made.

        Raises KeyUnavailable, and ConfigurationError for an algorithm that does not fit the key.
        """
        version = self._version(name)
        there = await self._turn(self._described)
        if there is None:
            raise KeyUnavailable(
                f"{self._origin} does not exist",
                hint="make it: rolecall keys new; or correct key, mount and namespace",
            )
        public = there.half(version)
        key = _VersionKey(self, version, public, described(public, self._algorithm, self._origin))
        await prove(key, public, f"version {version} of {self._origin}")
        return key

    async def make(self, kind: Kind) -> str:
        """Make the key, or a further version of it where it is there. See Custodian."""
        self._check_ours("make")
        return await self._turn(self._made, kind)

    async def discard(self, name: str) -> None:
        """Destroy a version, once no older one has to stay; until then, leave it. See Custodian.

        Vault destroys versions from the oldest on, and never the latest. A version that was announced and given up
        before an older one ended its life therefore stays, unused, until that one goes too: nothing names it, so
        nothing signs with it.
        """
        self._check_ours("destroy")
        await self._turn(self._discarded, self._version(name))

    async def close(self) -> None:
        """Let go of connections; keys that were opened sign no more."""
        self._closed = True
        self._server.close()

    async def stay_signed_in(self) -> None:
        """Renew the token before it ends, for as long as this is awaited: between two signatures may lie hours.

        Raises nothing: whoever signs next is told what is wrong.
        """
        while True:
            due: float | None = None
            try:
                due = await self._turn(self._access.see_to_token)
            except KeyUnavailable:
                due = 60.0
            pause = _LONGEST_SLEEP if due is None else due
            await self._clock.sleep(min(max(pause, _SHORTEST_SLEEP), _LONGEST_SLEEP))

    async def signed(self, version: int, algorithm: Algorithm, message: bytes) -> bytes:
        """The JWS signature of that version alone. Raises KeyUnavailable."""
        return await self._turn(self._signed, version, algorithm, message)

    async def _turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise KeyUnavailable("the connection to Vault has been closed", hint="this agent is stopping")
        try:
            return await self._turns.take(work, *args, **kwargs)
        except Said as said:
            raise self._server.explained(said) from said
        except TimeoutError as error:
            raise KeyUnavailable(
                f"Vault at {self._address} did not answer in time",
                hint="see whether it is up and reachable from this host",
            ) from error

    def _check_ours(self, verb: str) -> None:
        if not self._make_keys:
            raise ConfigurationError(
                f"by make_keys = false, {self._origin} is not ours to {verb} versions of",
                hint="let Vault's administrator do it, or set make_keys = true and widen the token's policy",
            )

    def _version(self, name: str) -> int:
        parts = _NAME.fullmatch(name)
        if parts is None or parts["key"] != self._key:
            raise KeyUnavailable(
                f"{name} is no version of {self._origin}", hint=f'its versions are called "{self._key}:v1" and so on'
            )
        return int(parts["version"])

    # What follows blocks, and runs in a thread, one at a time.

    def _path(self, rest: str = "") -> str:
        return f"{self._mount}/keys/{self._key}{rest}"

    def _described(self) -> TransitKey | None:
        try:
            told = self._access.ask("GET", self._path())
        except Said as said:
            if said.status == 404 and not said.words:
                return None
            raise  # something above the key is not there
        return TransitKey.read(members(told, "data"), self._origin)

    def _made(self, kind: Kind) -> str:
        there = self._described()
        if there is None:
            unexportable = {"type": TYPES[kind], "exportable": False, "allow_plaintext_backup": False}
            self._access.ask("POST", self._path(), unexportable)
            return f"{self._key}:v1"
        if there.type != TYPES[kind]:
            raise ConfigurationError(
                f"{self._origin} is of type {there.type}, and a key of kind {kind} is wanted; a Transit key has one "
                "type for ever",
                hint="ask for that type, or name another Transit key in [key.next] and rotate to it",
            )
        answer = self._access.ask("POST", self._path("/rotate"), {})
        if "data" in answer:
            # What was true the moment that the version was made, even if somebody else made one since.
            return f"{self._key}:v{TransitKey.read(members(answer, 'data'), self._origin).latest}"
        there = self._described()
        if there is None:
            raise not_understood("the key that was rotated is gone")
        return f"{self._key}:v{there.latest}"

    def _discarded(self, version: int) -> None:
        there = self._described()
        if there is None or version < there.available:
            return
        self._unwanted.add(version)
        staying = [older for older in range(there.floor, version) if older not in self._unwanted]
        if staying or version >= there.latest:
            return
        least = version + 1
        while least in self._unwanted and least < there.latest:
            least += 1
        floors = {
            "min_decryption_version": max(least, there.decrypts),
            "min_encryption_version": max(least, there.encrypts),
        }
        self._access.ask("POST", self._path("/config"), floors)
        self._access.ask("POST", self._path("/trim"), {"min_available_version": least})

    def _signed(self, version: int, algorithm: Algorithm, message: bytes) -> bytes:
        # The message, not its digest: Vault's policies and its audit log can then tell what is signed.
        request: dict[str, object] = {
            "input": base64.b64encode(message).decode(),
            "key_version": version,
            "hash_algorithm": _HASHES[algorithm[2:]],
            "prehashed": False,
        }
        if algorithm.startswith("RS"):
            request["signature_algorithm"] = "pkcs1v15"
        else:
            request["marshaling_algorithm"] = "jws"
        return _signature(
            members(self._access.ask("POST", f"{self._mount}/sign/{self._key}", request), "data"), version
        )


class _VersionKey:
    """One version of the key."""

    __slots__ = ("_custodian", "_half", "_public", "_version")

    def __init__(self, custodian: VaultTransit, version: int, half: Public, public: PublicKey) -> None:
        self._custodian = custodian
        self._version = version
        self._half = half
        self._public = public

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Have Vault sign, and see that it was this key that did."""
        signature = await self._custodian.signed(self._version, self._public.algorithm, message)
        if not made_by(self._half, self._public.algorithm, message, signature):
            raise KeyUnavailable(
                f"what Vault signed is not from the key {self._public.kid}",
                hint="the Transit key was deleted and made anew, or put back from a backup, or another Vault answers "
                "now: put back the right one, or rotate to what is there: rolecall keys rotate --emergency",
            )
        return signature

    def __repr__(self) -> str:
        """Name the key, not show it."""
        return f"VaultTransit key({self._public.kid}, {self._public.algorithm})"


def _signature(answer: Mapping[str, object], version: int) -> bytes:
    """Take the signature out of "vault:v3:…", if it is of the version that was asked. Raises KeyUnavailable."""
    parts = _SIGNATURE.fullmatch(str(answer.get("signature")))
    if parts is None:
        raise not_understood("it holds no signature")
    if int(parts["version"]) != version:
        raise KeyUnavailable(
            f"Vault signed with version {parts['version']} of the key, and was asked for version {version}",
            hint="see what stands between this host and Vault: Vault itself does as it is told",
        )
    bare = parts["signature"].rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error as error:
        raise not_understood("its signature is no base64") from error
