"""Which custodian holds our keys?"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from agent.clock import Clock
from agent.custody import Custody
from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Custodian, Kind, PublicKey
from agent.keys.files import write_new
from agent.keys.pem import PemKey, generate, read_passphrase
from agent.keys.pem_store import PemStore
from agent.secret import Secret
from agent.service import Job
from agent.settings import Settings
from agent.settings.keys import AwsKms, Key, Pem, Pkcs11, Tpm2, VaultTransit


def custody(settings: Settings, credentials_directory: Path | None, clock: Clock) -> Custody:
    """The custodians of [key] and, while a move is under way, of [key.next]. Raises ConfigurationError."""
    assert settings.key is not None
    following = settings.next_key
    return Custody(
        custodian(settings.key, credentials_directory, clock),
        None if following is None else custodian(following, credentials_directory, clock),
    )


def custodian(settings: Key, credentials_directory: Path | None, clock: Clock) -> Custodian:
    """The custodian that the configuration names, which opens nothing yet.

    Raises ConfigurationError, above all where the library that it needs is not installed.
    """
    match settings:
        case Pem():
            return pem_store(settings, credentials_directory)
        case Pkcs11():
            return _pkcs11(settings, credentials_directory, clock)
        case Tpm2():
            return _tpm2(settings, credentials_directory, clock)
        case AwsKms():
            return _aws_kms(settings, clock)
        case VaultTransit():
            return _vault_transit(settings, credentials_directory, clock)
        case _:
            assert_never(settings)


def chores(custodian: Custodian) -> Sequence[Job]:
    """What has to be done for a custodian for as long as it is used: to stay signed in, where that is how it is."""
    if custodian.kind != "vault_transit":
        return ()
    from agent.keys.vault_transit.custodian import VaultTransit as VaultCustodian

    assert isinstance(custodian, VaultCustodian)
    return (custodian.stay_signed_in,)


def pem_store(settings: Pem, credentials_directory: Path | None) -> PemStore:
    """The custodian of keys in PEM files."""

    def passphrase() -> Secret | None:
        if settings.passphrase_file is None:
            return None
        return read_passphrase(settings.passphrase_file, credentials_directory=credentials_directory)

    return PemStore(
        file=settings.file,
        directory=settings.directory,
        passphrase=passphrase,
        algorithm=settings.algorithm,
        credentials_directory=credentials_directory,
    )


def _pkcs11(settings: Pkcs11, credentials_directory: Path | None, clock: Clock) -> Custodian:
    try:
        from agent.keys.pkcs11.custodian import Pkcs11 as Pkcs11Custodian
        from agent.keys.pkcs11.custodian import key_uri
    except ImportError as error:
        raise _not_installed("pkcs11") from error
    uri = settings.uri or key_uri(token=settings.token, label=settings.label or "")
    return Pkcs11Custodian(
        settings.module,
        uri,
        _reader(settings.pin_file, credentials_directory, "PIN"),
        clock=clock,
        random_bytes=secrets.token_bytes,
        algorithm=settings.algorithm,
        make_keys=settings.make_keys,
    )


def _tpm2(settings: Tpm2, credentials_directory: Path | None, clock: Clock) -> Custodian:
    try:
        from agent.keys.tpm2.custodian import Handle, KeyDirectory, KeyFile, Place
        from agent.keys.tpm2.custodian import Tpm2 as Tpm2Custodian
    except ImportError as error:
        raise _not_installed("tpm2") from error
    place: Place
    if settings.handle is not None:
        place = Handle(settings.handle)
    elif settings.file is not None:
        place = KeyFile(settings.file)
    else:
        assert settings.directory is not None  # the settings see to it that there is one of them
        place = KeyDirectory(settings.directory)
    auth, owner = settings.auth_file, settings.owner_auth_file
    return Tpm2Custodian(
        place,
        tcti=settings.tcti,
        clock=clock,
        read_auth=None if auth is None else _reader(auth, credentials_directory, "auth value"),
        read_owner_auth=None if owner is None else _reader(owner, credentials_directory, "auth value"),
        algorithm=settings.algorithm,
    )


def _aws_kms(settings: AwsKms, clock: Clock) -> Custodian:
    from agent.clients.late import Late
    from agent.keys.aws_kms.custodian import AwsKms as AwsKmsCustodian
    from agent.keys.aws_kms.custodian import Held

    def opening() -> Any:
        from agent.clients.signed import SignedEndpoint, kms_client

        return kms_client(
            SignedEndpoint(
                region=settings.region,
                credentials=settings.credentials,
                endpoint_url=settings.endpoint_url,
                ca_bundle=settings.ca_bundle,
                proxy=settings.proxy,
            )
        )

    client = Late(opening)
    held = Held(settings.key_id, settings.region, settings.algorithm, settings.make_keys)
    return AwsKmsCustodian(client, held, clock, closing=client.close)


def _vault_transit(settings: VaultTransit, credentials_directory: Path | None, clock: Clock) -> Custodian:
    try:
        from agent.keys.vault_transit.access import AppRole, Jwt, Login, TokenFile
        from agent.keys.vault_transit.custodian import VaultTransit as VaultCustodian
        from agent.keys.vault_transit.server import Place
    except ImportError as error:
        raise _not_installed("vault_transit") from error

    def reader(path: Path | None, what: str) -> Callable[[], Secret]:
        assert path is not None  # the settings see to it
        return _reader(path, credentials_directory, what)

    login: Login
    if settings.token_file is not None:
        login = TokenFile(reader(settings.token_file, "token"))
    elif settings.jwt_file is not None:
        login = Jwt(reader(settings.jwt_file, "JWT"), settings.role or "", settings.auth_mount or "jwt")
    else:
        role_id, secret_id = reader(settings.role_id_file, "role id"), reader(settings.secret_id_file, "secret id")
        login = AppRole(role_id, secret_id, settings.auth_mount or "approle")
    return VaultCustodian(
        Place(settings.address, settings.namespace, settings.ca_bundle),
        login,
        settings.key,
        clock=clock,
        mount=settings.mount,
        algorithm=settings.algorithm,
        make_keys=settings.make_keys,
    )


def _reader(path: Path, credentials_directory: Path | None, what: str) -> Callable[[], Secret]:
    """Read a secret from a file each time, since files are replaced. What it raises is KeyUnavailable."""

    def read() -> Secret:
        return read_passphrase(path, credentials_directory=credentials_directory, what=what)

    return read


def _not_installed(extra: str) -> ConfigurationError:
    return ConfigurationError(
        f'the library that key.custodian = "{extra}" needs is not installed',
        hint=f"install it into the agent's environment, from the unpacked source: "
        f"pip install '.[{extra.replace('_', '-')}]'",
    )


# --- keys in files, for commands


def make_key(directory: Path, kind: Kind, *, passphrase: Secret | None = None) -> tuple[Path, PublicKey]:
    """Make a key and keep it as KID.pem in `directory`. Raises ConfigurationError or KeyUnavailable."""
    return PemStore(directory=directory, passphrase=lambda: passphrase).make_now(kind)


async def make_first_key(
    settings: Key, kind: Kind, credentials_directory: Path | None, clock: Clock
) -> tuple[str, PublicKey]:
    """Make the key that the configuration speaks of: where it is, and its public half.

    Raises ConfigurationError, above all if there is a key already, and KeyUnavailable.
    """
    if isinstance(settings, Pem) and settings.file is not None:
        passphrase = pem_store(settings, credentials_directory).passphrase()
        path, public = write_key(settings.file, kind, passphrase=passphrase)
        return str(path), public
    keeper = custodian(settings, credentials_directory, clock)
    try:
        try:
            there = await keeper.names()
        except KeyUnavailable:
            there = ()  # no key is what most custodians call unavailable
        if there:
            where = f" in {settings.directory}" if isinstance(settings, Pem) else ""
            raise ConfigurationError(
                f"there is a key{where} already: {there[0]}",
                hint="one that follows it is made with: rolecall keys rotate"
                + ("; one elsewhere, with --directory" if isinstance(settings, Pem) else ""),
            )
        name = await keeper.make(kind)
        public = (await keeper.open(name)).public
        return str(keeper.path(name)) if isinstance(keeper, PemStore) else name, public
    finally:
        await keeper.close()


def write_key(path: Path, kind: Kind, *, passphrase: Secret | None = None) -> tuple[Path, PublicKey]:
    """Make a key in a file of that name. Raises ConfigurationError or KeyUnavailable."""
    pem, public = fresh_pem(kind, passphrase=passphrase)
    write_new(path, pem.reveal().encode("ascii"))
    return path, public


def fresh_pem(kind: Kind, *, passphrase: Secret | None = None) -> tuple[Secret, PublicKey]:
    """Make a key that lies nowhere yet: its PEM text, which has signed once, and its public half."""
    pem = Secret(generate(kind, passphrase=passphrase).decode("ascii"))
    return pem, PemKey.parse(pem, origin="the new key", passphrase=passphrase).public


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file in which there should be a key, and what is found there: its public half, or why there is none."""

    path: Path
    found: PublicKey | AgentError


def keys_in(directory: Path) -> list[KeyFile]:
    """Look at all keys in a directory, none of them encrypted. Raises KeyUnavailable."""
    store = PemStore(directory=directory)
    return [_looked_at(store.path(name)) for name in store.listed()]


def _looked_at(path: Path) -> KeyFile:
    try:
        return KeyFile(path, PemKey.read(path).public)
    except AgentError as error:
        return KeyFile(path, error)
