"""What may the operator say about who holds the private key?"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, assert_never
from urllib.parse import urlsplit

from pydantic import Field

from agent.keys import Algorithm
from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, Flag, SecretPath, one_of, text
from agent.settings.web import Proxy, Region, Url, endpoint_url

_HANDLE = re.compile(r"0x81[0-9a-fA-F]{6}")
#: KMS API Reference: KeyId. An ARN names its region.
_KMS_ARN = re.compile(r"arn:aws(?:-[a-z]+)*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?P<what>(?:key|alias)/.+)")
_KMS_KEY = re.compile(r"mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KMS_ALIAS = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}")
#: What Vault takes as the name of a key or of a role; a mount or a namespace is a path of such.
_VAULT_NAME = re.compile(r"\w(?:[\w.-]{0,126}\w)?", re.ASCII)
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


def _tcti(value: str, _: Surroundings) -> str:
    if not value or not value.isprintable() or len(value.encode()) > 255:
        raise Wrong('must be how the TSS reaches the TPM, as in "device:/dev/tpmrm0"')
    return value


def _handle(value: str, _: Surroundings) -> str:
    if not _HANDLE.fullmatch(value):
        raise Wrong(f'{shown(value)} is no persistent handle; write it as in "0x81000042"')
    return value.lower()


def _key_id(value: str, _: Surroundings) -> str:
    arn = _KMS_ARN.fullmatch(value)
    named = arn["what"].removeprefix("key/") if arn else value
    if named.startswith("alias/aws/"):
        raise Wrong("is one of AWS's own keys, which sign for nobody; name a key of yours")
    if not _KMS_ALIAS.fullmatch(named) and not _KMS_KEY.fullmatch(named):
        raise Wrong('must be the id of a key, an ARN, or an alias as in "alias/rolecall"')
    return value


def _vault_name(value: str, _: Surroundings) -> str:
    if not _VAULT_NAME.fullmatch(value):
        raise Wrong("must be a name of letters, digits and _ . -, without the path before it")
    return value


def _vault_path(value: str, _: Surroundings) -> str:
    path = value.removesuffix("/")  # Vault itself shows mounts and namespaces with a slash at their end
    if not all(_VAULT_NAME.fullmatch(part) for part in path.split("/")):
        raise Wrong("must be a path of letters, digits and _ . -, with / between its parts and not before them")
    return path


def _auth_mount(value: str, surroundings: Surroundings) -> str:
    path = _vault_path(value, surroundings)
    if path.startswith("auth/"):
        raise Wrong(f"{shown(value)} begins with auth/, which goes without saying; leave that out")
    return path


def _vault_address(value: str, surroundings: Surroundings) -> str:
    address = endpoint_url(value, surroundings)
    if "v1" in urlsplit(address).path.split("/"):
        raise Wrong("is an address of Vault's API; write only what stands before /v1")
    return address


#: What `aws_credentials` takes, for people.
AWS_CREDENTIALS: Final = '"profile:NAME", "environment", "container" or "instance"'


def aws_credentials(value: str, _: Surroundings) -> str:
    """Read where credentials for AWS come from. Raises Wrong."""
    kind, colon, name = value.partition(":")
    if value in {"environment", "instance", "container"} or (kind == "profile" and colon and _PROFILE.fullmatch(name)):
        return value
    if kind == "role":
        raise Wrong("cannot be those of a role of ours: without a signature of this key, no role is to be had")
    raise Wrong(f"must say which credentials are used: {AWS_CREDENTIALS}")


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

    answers: ClassVar[Mapping[str, str]] = {
        "pin": 'is a secret, and none stands here; write pin_file = "/path/of/the/PIN", or pin_file = "credential:NAME"'
    }

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
    tcti: Annotated[str, text(_tcti)] = "device:/dev/tpmrm0"
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
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])
    make_keys: Flag = False

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """An ARN is of the region that is asked."""
        key_id, region = words.get("key_id"), words.get("region")
        arn = _KMS_ARN.fullmatch(key_id) if isinstance(key_id, str) else None
        if arn and isinstance(region, str) and arn["region"] != region:
            yield "region", f"is {shown(region)}, but the ARN in key_id is of {arn['region']}; write that"


class VaultTransit(Section):
    """A key of the Transit engine of Vault or OpenBao. Its versions are the keys of a rotation.

    Just one way to sign in: `token_file`; `role_id_file` and `secret_id_file` (AppRole); or `jwt_file` and `role`.
    """

    answers: ClassVar[Mapping[str, str]] = {
        word: f'is a secret, and none stands here; write {word}_file = "/path", or {word}_file = "credential:NAME"'
        for word in ("token", "role_id", "secret_id", "jwt")
    }

    custodian: Annotated[Literal["vault_transit"], one_of(Literal["vault_transit"])]
    address: Annotated[str, text(_vault_address)] = Field(examples=['"https://vault.example.com:8200"'])
    key: Annotated[str, text(_vault_name)] = Field(examples=['"rolecall"'])
    mount: Annotated[str, text(_vault_path)] = "transit"
    namespace: Annotated[str, text(_vault_path)] | None = Field(None, examples=['"platform/iam"'])
    token_file: SecretPath | None = Field(None, examples=['"credential:vault-token"'])
    role_id_file: SecretPath | None = Field(None, examples=['"credential:vault-role-id"'])
    secret_id_file: SecretPath | None = Field(None, examples=['"credential:vault-secret-id"'])
    jwt_file: SecretPath | None = Field(None, examples=['"/var/run/secrets/tokens/vault"'])
    role: Annotated[str, text(_vault_name)] | None = Field(None, examples=['"rolecall"'])
    auth_mount: Annotated[str, text(_auth_mount)] | None = Field(None, examples=['"kubernetes"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    algorithm: _Algorithm | None = Field(None, examples=['"ES256"'])
    make_keys: Flag = True

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One way to sign in, all that it takes, and nothing of the others."""
        ways = [word for word in ("token_file", "role_id_file", "jwt_file") if word in words]
        if cls.answers.keys() & words.keys():
            return
        if len(ways) != 1:
            yield "", "must say how to sign in, one way: token_file; role_id_file, secret_id_file; or jwt_file, role"
            return
        for way, other in (("role_id_file", "secret_id_file"), ("jwt_file", "role")):
            if way in ways and other not in words:
                yield other, f"is missing; a sign-in with {way} takes it"
            elif way not in ways and other in words:
                yield other, f"means nothing without {way}; leave it out"
        if ways == ["token_file"] and "auth_mount" in words:
            yield "auth_mount", "means nothing beside token_file, with which nobody logs in; leave it out"


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


def makes_keys(key: Key) -> bool:
    """Whether the agent may make further keys there itself."""
    return key.directory is not None if isinstance(key, Pem | Tpm2) else key.make_keys


def place_of(key: Key) -> tuple[object, ...]:
    """Where the keys are, whatever is said of how one gets there: the same for two that name the same keys."""
    match key:
        case Pem():
            return key.custodian, key.file, key.directory
        case Pkcs11():
            return key.custodian, key.module, key.token, key.label, key.uri
        case Tpm2():
            return key.custodian, key.tcti, key.handle, key.file, key.directory
        case AwsKms():
            return key.custodian, key.region, key.key_id
        case VaultTransit():
            return key.custodian, key.address.rstrip("/"), key.namespace, key.mount, key.key
        case _:
            assert_never(key)
