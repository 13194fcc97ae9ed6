"""What may the operator say about who holds the private key?"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agent.keys import Algorithm
from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, Flag, SecretPath, one_of, text
from agent.settings.web import Region, Url

_HANDLE = re.compile(r"0x81[0-9a-fA-F]{6}")
_PATH_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,127}")
_PROFILE = re.compile(r"[!-~]{1,64}")


def _label(value: str, _: Surroundings) -> str:
    if not value or not value.isprintable() or len(value.encode()) > 64:
        raise Wrong("must be 1 to 64 bytes of printable text, as the token shows it")
    return value


def _uri(value: str, _: Surroundings) -> str:
    if not value.startswith("pkcs11:"):
        raise Wrong('must be a PKCS#11 URI (RFC 7512), as in "pkcs11:token=hsm;object=rolecall"')
    if "pin-value" in value:
        raise Wrong("has the PIN in it (pin-value); a secret never stands here: use pin_file")
    return value


def _handle(value: str, _: Surroundings) -> str:
    if not _HANDLE.fullmatch(value):
        raise Wrong(f'{shown(value)} is no persistent handle; write it as in "0x81000042"')
    return value.lower()


def _key_id(value: str, _: Surroundings) -> str:
    if not 1 <= len(value) <= 2048 or not value.isascii() or not value.isprintable() or " " in value:
        raise Wrong('must be a key id, an ARN, or an alias as in "alias/rolecall"')
    return value


def _part(value: str, _: Surroundings) -> str:
    if not _PATH_PART.fullmatch(value) or ".." in value:
        raise Wrong("must be a name or path of letters, digits and _ . / -")
    return value


def aws_credentials(value: str, _: Surroundings) -> str:
    """Read where credentials for AWS come from. Raises Wrong."""
    kind, colon, name = value.partition(":")
    if value in {"environment", "instance", "container"} or (kind == "profile" and colon and _PROFILE.fullmatch(name)):
        return value
    raise Wrong('says which credentials are used: "profile:NAME", "environment", "container" or "instance"')


#: Where credentials for AWS come from, where they are not those of one of our roles.
AwsCredentials = Annotated[str, text(aws_credentials)]
_Algorithm = Annotated[Algorithm, one_of(Algorithm)]


class Pem(Section):
    """Private keys in PEM files: one file, or all *.pem of a directory. Just one of `file` and `directory` is set.

    `algorithm` None leaves it to the key: RS256 for RSA, and the one that fits the curve for EC.
    """

    custodian: Annotated[Literal["pem"], one_of(Literal["pem"])]
    file: SecretPath | None = Field(None, examples=['"/etc/rolecall/key.pem"'])
    directory: FilePath | None = Field(None, examples=['"/var/lib/rolecall/keys"'])
    passphrase_file: SecretPath | None = Field(None, examples=['"credential:key-passphrase"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One file, or one directory."""
        if "file" in words and "directory" in words:
            yield "file", 'cannot stand beside "directory"; keep the one where the key is'
        elif "file" not in words and "directory" not in words:
            yield "", 'does not say where the key is; write directory = "/var/lib/rolecall/keys", or file = "…"'


class Pkcs11(Section):
    """A key in a token that a PKCS#11 module speaks to: found by `label`, or by `uri`; `token` is the token's label.

    `make_keys` lets rotation make further keys in the token, each with a label that begins with `label`.
    """

    custodian: Annotated[Literal["pkcs11"], one_of(Literal["pkcs11"])]
    module: FilePath = Field(examples=['"/usr/lib/softhsm/libsofthsm2.so"'])
    token: Annotated[str, text(_label)] | None = Field(None, examples=['"hsm"'])
    label: Annotated[str, text(_label)] | None = Field(None, examples=['"rolecall"'])
    uri: Annotated[str, text(_uri)] | None = Field(None, examples=['"pkcs11:token=hsm;object=rolecall"'])
    pin_file: SecretPath = Field(examples=['"credential:hsm-pin"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])
    make_keys: Flag = True

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One way to find the key."""
        if "uri" in words and words.keys() & {"label", "token"}:
            yield "uri", 'cannot stand beside "label" or "token"; it names both itself'
        elif "uri" not in words and "label" not in words:
            yield "", 'does not say which key; write token = "…" and label = "rolecall", or uri = "pkcs11:…"'


class Tpm2(Section):
    """A key in a TPM 2.0: at a persistent `handle`, in a key `file`, or in key files of a `directory`.

    `tcti` says how the TPM is reached, in the words of the TSS; `auth_file` holds the key's auth value.
    """

    custodian: Annotated[Literal["tpm2"], one_of(Literal["tpm2"])]
    handle: Annotated[str, text(_handle)] | None = Field(None, examples=['"0x81000042"'])
    file: FilePath | None = Field(None, examples=['"/var/lib/rolecall/keys/key.tss"'])
    directory: FilePath | None = Field(None, examples=['"/var/lib/rolecall/keys"'])
    auth_file: SecretPath | None = Field(None, examples=['"credential:tpm-auth"'])
    owner_auth_file: SecretPath | None = Field(None, examples=['"credential:tpm-owner-auth"'])
    tcti: Annotated[str, text(_label)] = "device:/dev/tpmrm0"
    algorithm: _Algorithm | None = Field(None, examples=['"RS256"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One place."""
        if len(words.keys() & {"handle", "file", "directory"}) != 1:
            yield "", 'must say where the key is, once: directory = "…", file = "…" or handle = "0x81…"'


class AwsKms(Section):
    """An asymmetric key of AWS KMS for signing; `credentials` names those it is used with, as there is no default.

    `make_keys` lets rotation make further keys in KMS, which each cost money, and needs kms:CreateKey.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "access_key_id": 'is a secret, and none stands here; write credentials = "profile:NAME" or the like',
        "profile": 'is said as credentials = "profile:NAME"',
    }

    custodian: Annotated[Literal["aws_kms"], one_of(Literal["aws_kms"])]
    key_id: Annotated[str, text(_key_id)] = Field(examples=['"alias/rolecall"'])
    region: Region = Field(examples=['"eu-central-1"'])
    credentials: AwsCredentials = Field(examples=['"profile:rolecall-kms"'])
    endpoint_url: Url | None = Field(None, examples=['"https://vpce-….amazonaws.com"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])
    make_keys: Flag = False


class VaultTransit(Section):
    """A key of the Transit engine of Vault or OpenBao. Its versions are the keys of a rotation.

    Just one way to sign in: `token_file`; `role_id_file` and `secret_id_file` (AppRole); or `jwt_file` and `role`.
    """

    custodian: Annotated[Literal["vault_transit"], one_of(Literal["vault_transit"])]
    address: Url = Field(examples=['"https://vault.example.com:8200"'])
    key: Annotated[str, text(_part)] = Field(examples=['"rolecall"'])
    mount: Annotated[str, text(_part)] = "transit"
    namespace: Annotated[str, text(_part)] | None = Field(None, examples=['"platform/iam"'])
    token_file: SecretPath | None = Field(None, examples=['"credential:vault-token"'])
    role_id_file: SecretPath | None = Field(None, examples=['"credential:vault-role-id"'])
    secret_id_file: SecretPath | None = Field(None, examples=['"credential:vault-secret-id"'])
    jwt_file: SecretPath | None = Field(None, examples=['"/var/run/secrets/tokens/vault"'])
    role: Annotated[str, text(_part)] | None = Field(None, examples=['"rolecall"'])
    auth_mount: Annotated[str, text(_part)] | None = Field(None, examples=['"kubernetes"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])
    make_keys: Flag = True

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One way to sign in, and all that it takes."""
        ways = [word for word in ("token_file", "role_id_file", "jwt_file") if word in words]
        if len(ways) != 1:
            yield "", "must say how to sign in, one way: token_file; role_id_file, secret_id_file; or jwt_file, role"
        elif ways == ["role_id_file"] and "secret_id_file" not in words:
            yield "secret_id_file", "is missing; AppRole takes both"
        elif ways == ["jwt_file"] and "role" not in words:
            yield "role", "is missing; a login with a JWT names the role it asks for"


def makes_keys(key: "Key") -> bool:
    """Whether the agent may make further keys there itself."""
    return key.directory is not None if isinstance(key, Pem | Tpm2) else key.make_keys


Key = Pem | Pkcs11 | Tpm2 | AwsKms | VaultTransit

#: The kinds of [key], by their `custodian`.
CUSTODIANS: Final[Mapping[str, type[Section]]] = {
    "pem": Pem,
    "pkcs11": Pkcs11,
    "tpm2": Tpm2,
    "aws_kms": AwsKms,
    "vault_transit": VaultTransit,
}


def paths_of(key: Key | None) -> list[tuple[str, Path]]:
    """The files and directories that [key] names, each with its word."""
    words = () if key is None else type(key).model_fields
    return [(word, path) for word in words if isinstance(path := getattr(key, word), Path)]
