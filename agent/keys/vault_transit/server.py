"""How is Vault asked, and what do its answers mean?

Over hvac's adapter and not its Client, which would take an address, a token and certificates from the environment and
from ~/.vault-token; and over a session that believes neither in proxies nor in a .netrc of the environment.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from hvac.adapters import RawAdapter

from agent.clock import Clock
from agent.errors import KeyUnavailable
from agent.secret import Secret

#: A redirect that repeats the request as it is; others turn a POST into a GET.
_REDIRECTS: Final = (307, 308)
#: Statuses that a load balancer gives as well, in words of its own.
_NOT_SERVED: Final = (429, 472, 473, 502, 503, 504)
_LONGEST_WORDS: Final = 300
_LARGEST_ANSWER: Final = 4 * 1024 * 1024  # bytes; a version of an RSA-4096 key takes about one kB
_SHORTEST_SECRET: Final = 8  # shorter values of a request are not looked for in an answer: they are names and numbers

#: What stands between us and any Vault: status → (what is wrong, what to do).
_STANDBYS: Final = {
    472: (
        "is a standby of a disaster recovery cluster, which serves nobody",
        "write the address of the active cluster",
    ),
    473: (
        "is a performance standby that does not pass requests on",
        "write the address of the active node or of a load balancer before the cluster",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where Vault is.

    Attributes:
        address: https://host:port, without a path of the API.
        namespace: for Vault Enterprise, HCP and OpenBao.
        ca_bundle: a PEM file of the certificate authorities that are trusted; None is those that the public web trusts.
    """

    address: str
    namespace: str | None = None
    ca_bundle: Path | None = None


class Said(Exception):
    """Vault has understood the request and says no; what that means, whoever asked knows. Never leaves this package.

    `words` are Vault's own, on one line, and empty where it gives no reason.
    """

    def __init__(self, status: int, words: str, path: str, capability: str) -> None:
        super().__init__(f"{status} to {path}: {words}")
        self.status = status
        self.words = words
        self.path = path
        self.capability = capability


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: `there` is where a redirect leads, None for any other answer. A body may hold a token."""

    status: int
    body: bytes = field(repr=False)
    there: str | None


class Server:
    """One Vault; everything here blocks, and is called by one thread at a time."""

    def __init__(self, place: Place, timeout: float, clock: Clock) -> None:
        """Take the place, and the seconds that each connection, and each answer to its last byte, may take."""
        session = requests.Session()
        session.trust_env = False
        # A connection that was left open for the minutes between two signatures is one that a firewall has forgotten.
        session.headers["Connection"] = "close"
        session.headers["Accept-Encoding"] = "identity"
        session.verify = str(place.ca_bundle) if place.ca_bundle else True
        self._session = session
        self._adapter = RawAdapter(
            base_uri=place.address, token="", session=session, allow_redirects=False, namespace=place.namespace
        )
        self._place = place
        self._timeout = timeout
        self._clock = clock

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, token: Secret | None = None
    ) -> Mapping[str, object]:
        """The answer's members; none for an answer without content. `path` is one of the API, as in "transit/keys/x".

        Raises KeyUnavailable for what has nothing to do with the question, and Said.
        """
        answer = self._sent(method, f"v1/{path}", body, token)
        if answer.status == 204:
            return {}
        members = _members(answer.body)
        if members is None and answer.status not in _NOT_SERVED:
            raise self._no_vault(answer.status)
        if members is not None and answer.status == 200:
            return members
        words = _words(members or {}, _secrets(body, token))
        self._check_service(answer.status, words)
        capability = "read" if method == "GET" else "update"
        raise Said(answer.status, words, path, capability)

    def explained(self, said: Said) -> KeyUnavailable:
        """What an operator should know of a no that nobody else can make sense of."""
        within = f" in the namespace {self._place.namespace}" if self._place.namespace else ""
        if said.status == 403:
            return KeyUnavailable(
                f"Vault does not allow this token {said.capability} on {said.path}{within}",
                hint=f'write into its policy: path "{said.path}" {{ capabilities = ["{said.capability}"] }}',
            )
        if said.status == 404 and "no handler" in said.words:
            mount = said.path.split("/keys/")[0].split("/sign/")[0]
            return KeyUnavailable(
                f"Vault has no secrets engine at {mount}{within}",
                hint=f"correct the mount or the namespace, or: vault secrets enable -path={mount} transit",
            )
        return KeyUnavailable(
            f"Vault at {self._place.address} answered {said.status} to {said.path}{within}: {said.words or 'no more'}",
            hint="these are Vault's own words; its log on the server may say more",
        )

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()

    def _sent(self, method: str, path: str, body: Mapping[str, object] | None, token: Secret | None) -> _Answer:
        """Send it, and again where Vault says that it is elsewhere on the same server; to no other with our token."""
        self._adapter.token = token.reveal() if token else ""
        for _ in range(3):
            answer = self._received(method, path, body)
            if answer.there is None:
                return answer
            there = _path_here(self._place.address, path, answer.there)
            if answer.status not in _REDIRECTS or there is None:
                break
            path = there
        raise self._led_astray()

    def _received(self, method: str, path: str, body: Mapping[str, object] | None) -> _Answer:
        address = self._place.address
        try:
            with self._adapter.request(
                method, path, raise_exception=False, json=body, timeout=self._timeout, stream=True
            ) as answer:
                there = answer.headers.get("Location") if answer.is_redirect else None
                return _Answer(answer.status_code, self._whole(answer), there)
        except requests.exceptions.SSLError as error:
            raise KeyUnavailable(
                f"the certificate of Vault at {address} is not trusted by {self._trusted()}, or TLS fails otherwise",
                hint="name the authority's certificates with ca_bundle, and the host as the certificate names it",
            ) from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise KeyUnavailable(
                f"Vault at {address} did not answer in time", hint="see whether it is up and reachable from this host"
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise KeyUnavailable(
                f"Vault at {address} cannot be reached, or broke off",
                hint="see whether it is up, whether the address is right, and what a firewall between does",
            ) from error
        except OSError as error:  # what requests raises for a bundle that is not there
            raise KeyUnavailable(
                f"the certificates in {self._place.ca_bundle} cannot be read", hint="correct ca_bundle: a PEM file"
            ) from error
        except ValueError as error:  # what requests raises for a redirect to no address, though it is not to follow any
            raise self._led_astray() from error

    def _whole(self, answer: requests.Response) -> bytes:
        """The body, if it comes to an end in time: a server that sends a byte now and then hangs as any other."""
        late = self._clock.steady() + self._timeout
        whole = bytearray()
        # Not iter_content, which waits until a piece is full.
        while piece := answer.raw.read1(64 * 1024):
            whole += piece
            if len(whole) > _LARGEST_ANSWER:
                raise self._no_vault(answer.status_code)
            if self._clock.steady() >= late:
                raise requests.exceptions.ReadTimeout
        return bytes(whole)

    def _led_astray(self) -> KeyUnavailable:
        return KeyUnavailable(
            f"Vault at {self._place.address} redirects to another server or in circles, and the token does not follow",
            hint="a standby node does so: write the address of the active node, or of a load balancer before them",
        )

    def _trusted(self) -> str:
        bundle = self._place.ca_bundle
        return "the authorities of the public web" if bundle is None else f"the certificates in {bundle}"

    def _check_service(self, status: int, words: str) -> None:
        """Raise what is said of a server that serves nobody now."""
        address = self._place.address
        if status == 503:
            raise self._sealed()
        if status in _STANDBYS:
            what, hint = _STANDBYS[status]
            raise KeyUnavailable(f"Vault at {address} {what}", hint=hint)
        if status == 429:
            raise KeyUnavailable(
                f"Vault at {address} takes no more requests now: {words or 'no reason given'}",
                hint="it will later; if it comes often, see its rate limit quotas: vault list sys/quotas/rate-limit",
            )
        if status in (502, 504):
            raise KeyUnavailable(
                f"what stands before Vault at {address} cannot reach it ({status})",
                hint="see whether Vault is up, and what the load balancer knows of it",
            )

    def _sealed(self) -> KeyUnavailable:
        """Vault says that it is sealed also where it has never been initialised; its health tells."""
        address = self._place.address
        self._adapter.namespace = None  # health is the whole server's
        try:
            health = self._received("GET", "v1/sys/health", None).status
        finally:
            self._adapter.namespace = self._place.namespace
        if health == 501:
            return KeyUnavailable(
                f"Vault at {address} has not been initialised",
                hint="initialise it: vault operator init; or correct the address",
            )
        if health == 503:
            return KeyUnavailable(
                f"Vault at {address} is sealed", hint="unseal it: vault operator unseal; signing goes on by itself then"
            )
        return KeyUnavailable(
            f"Vault at {address} is not available (503)",
            hint="it may be starting, or changing its leader: wait a little",
        )

    def _no_vault(self, status: int) -> KeyUnavailable:
        return KeyUnavailable(
            f"what answers at {self._place.address} is not Vault: {status} without Vault's JSON",
            hint="correct the address: scheme, host and port, with no path; see what a proxy before it does",
        )


def _members(body: bytes) -> dict[str, object] | None:
    """The object in a body of JSON; None where there is none."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def members(answer: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A member that is an object itself. Raises KeyUnavailable."""
    inner = answer.get(name)
    if not isinstance(inner, dict):
        raise not_understood(f"it has no {name}")
    return inner


def not_understood(why: str) -> KeyUnavailable:
    """Say of an answer that it is not what the API's documentation promises."""
    return KeyUnavailable(
        f"Vault's answer is not to be understood: {why}",
        hint="see whether the address is Vault's, and the mount that of a Transit engine",
    )


def _words(answer: Mapping[str, object], secrets: tuple[str, ...]) -> str:
    """What Vault says is wrong, on one line, with nothing in it that we sent as a secret."""
    errors = answer.get("errors")
    told = " ".join(str(error) for error in errors) if isinstance(errors, list) else ""
    for secret in secrets:
        told = told.replace(secret, "…")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in told).split())
    return line[:_LONGEST_WORDS]


def _secrets(body: Mapping[str, object] | None, token: Secret | None) -> tuple[str, ...]:
    sent = [value for value in (body or {}).values() if isinstance(value, str)]
    if token:
        sent.append(token.reveal())
    return tuple(value for value in sent if len(value) >= _SHORTEST_SECRET)


def _path_here(address: str, path: str, location: str) -> str | None:
    """Where a redirect from `path` leads on the same server; None where it leads to another, or is no address."""
    try:
        there = urljoin(f"{address}/{path}", location)
        same = _origin(there) == _origin(address)
    except ValueError:
        return None
    return urlsplit(there).path.lstrip("/") if same else None


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Which server it is (RFC 6454 §4). Raises ValueError for what is no address."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
