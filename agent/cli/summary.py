"""What does a configuration ask for, in a few lines?"""

from collections.abc import Iterator
from typing import Final, assert_never

from agent.keys import PublicKey
from agent.settings import (
    S3,
    CredentialsFile,
    Directory,
    Grant,
    Https,
    IdentityCenterRole,
    IdentityPoolRole,
    KeptFile,
    Publishing,
    Role,
    Rotation,
    Settings,
    StsRole,
    TokenFile,
    Verify,
    WebIdentityTokenFile,
)
from agent.settings.cognito import Cognito
from agent.settings.keys import AwsKms, Key, Pem, Pkcs11, Tpm2, VaultTransit
from agent.settings.mistakes import shown
from agent.settings.oauth2 import OAuth2
from agent.settings.tokens import FromFile, SelfSigned, signs
from agent.settings.verifying import OWN
from agent.spans import spell_duration

#: How a client shows a provider who it is.
_WAYS: Final = {
    "client_secret": "a secret",
    "tls": "a certificate",
    "private_key_jwt": "a JWT that our key signs",
}


def summary(settings: Settings, key: PublicKey | None) -> Iterator[str]:
    """Say what this configuration asks for, and which key it has if that could be tried."""
    yield from _identity(settings)
    if settings.key is not None:
        yield f"key          {'not tried' if key is None else f'{key.kid}, {key.algorithm}'}"
        yield f"custodian    {custodian(settings.key)}"
    if settings.next_key is not None:
        yield f"moving to    {custodian(settings.next_key)}"
    if settings.key is not None and signs(settings.identity):
        yield f"rotation     {rotation(settings.rotation)}"
    where = settings.sts.endpoint_url or f"of {settings.sts.region}"
    if settings.uses_sts:
        yield f"STS          {where}"
    if (center := settings.identity_center) is not None:
        yield f"sign-in      {center.start_url}, region {center.region}"
    for name, role in settings.roles.items():
        yield f"role         {name}: {_described(role)}"
    for grant in settings.grants:
        yield f"grant        {', '.join(grant.given)}: {who(grant)}{_narrowed(grant)}{_worded(grant)}"
    if settings.publishing:
        yield f"publishing   {place(settings.publishing)}"
    for file in settings.files:
        yield f"file         {file.path}: {_kept(file)}"
    yield from _listeners(settings)


def _identity(settings: Settings) -> Iterator[str]:
    match settings.identity:
        case SelfSigned(subject=subject, audience=audience):
            if settings.issuer is not None:
                yield f"identity     {subject} of {settings.issuer.url}, for {audience}"
        case FromFile():
            yield "identity     a token from a file"
        case OAuth2() as words:
            where = words.issuer or words.token_endpoint
            yield f"identity     {words.client_id}, with {_WAYS[words.client_authentication]}, of {where}"
        case Cognito() as words:
            yield f"identity     {words.user} of the user pool {words.user_pool}, by the app client {words.client_id}"


def who(grant: Grant) -> str:
    """Who gets it, as one would say it."""
    if grant.anyone:
        return "anyone"
    called = {
        "user": "user", "group": "whoever is in the group", "unit": "unit", "user_unit": "the user's own unit",
        "slice": "whatever is in the slice", "container": "container", "executable": "program",
        "token_file": "who shows a token of", "unit_token": "who shows the token of unit",
        "aws_principal": "the AWS principal", "aws_account": "who is of the AWS account",
        "aws_organization": "who is of the AWS organization",
    }  # fmt: skip
    conditions = [
        f"{called[word]} {' or '.join(shown(value) for value in grant.values(word))}"
        for word in sorted(grant.named, key=[*called].index)
    ]
    return " and ".join(conditions)


def _narrowed(grant: Grant) -> str:
    """How much of the role that is."""
    less = [] if grant.duration is None else [f"for {spell_duration(grant.duration)}"]
    if grant.session_policy is not None or grant.policy_arns:
        less.append("with a policy")
    if grant.session_name is not None:
        less.append(f"as {grant.session_name}")
    if grant.source_identity is not None:
        less.append(f"with the source identity {grant.source_identity}")
    if grant.tags:
        less.append(f"tagged with {', '.join(grant.tags)}")
    return f"; {', '.join(less)}" if less else ""


def _worded(grant: Grant) -> str:
    """What its tokens say."""
    if not grant.audiences:
        return ""
    said = [f"tokens good for {spell_duration(grant.lifetime)}"]
    if grant.subject is not None:
        said.append(f"of {grant.subject}")
    if grant.scopes:
        said.append(f"with the scopes {' '.join(grant.scopes)}")
    if grant.claims:
        said.append(f"with {', '.join(grant.claims)}")
    return f"; {', '.join(said)}"


def _wanted(rule: Verify) -> str:
    """What a token of somebody else has to be."""
    whose = "our own" if rule.issuer == OWN else rule.issuer
    said = [f"tokens of {whose}, for {' or '.join((*rule.audiences, *rule.client_ids))}"]
    if rule.scopes:
        said.append(f"with the scopes {' '.join(rule.scopes)}")
    if rule.claims:
        said.append(f"with {', '.join(rule.claims)}")
    return ", ".join(said)


def _kept(file: KeptFile) -> str:
    match file:
        case CredentialsFile():
            return f"credentials of {file.role}, in the profile {file.profile}"
        case WebIdentityTokenFile():
            return f"an identity token for {file.role}"
        case TokenFile():
            return f"a token for {file.audience}, good for {spell_duration(file.lifetime)}"
        case _:
            assert_never(file)


def _listeners(settings: Settings) -> Iterator[str]:
    yield from (f"rule         {name}: {_wanted(rule)}" for name, rule in settings.verify.items())
    called = {"admin": "admin", "imds": "IMDS", "verify": "verifying"}
    for word, address in settings.listen.addresses():
        yield f"{called.get(word, 'credentials'):12} http://{address}"
    if settings.verify and settings.listen.verify is None:
        yield f"verifying    http://{settings.listen.verify_address}"
    if (callers := settings.aws_callers) is not None:
        yield f"AWS callers  https://{callers.listen}, as {callers.server_id}"
    if settings.containers is not None:
        where = ", ".join(f"http://{address}" for address in settings.containers.listen)
        yield f"containers   {where}, known by {settings.containers.engine} at {settings.containers.engine_socket}"
    if settings.unit_tokens is not None:
        yield f"unit tokens  {settings.unit_tokens.socket}, new every {spell_duration(settings.unit_tokens.rotate)}"


def custodian(key: Key) -> str:
    """Who holds the key, and where."""
    match key:
        case Pem():
            return f"pem, in {_files(key)}" + (", with a passphrase" if key.passphrase_file else "")
        case Pkcs11():
            label = f'the label "{key.label}"' + (f' in the token "{key.token}"' if key.token else "")
            return f"pkcs11, {key.uri or label}, by {key.module}"
        case Tpm2():
            return f"tpm2, {f'at {key.handle}' if key.handle else f'in {_files(key)}'}, by {key.tcti}"
        case AwsKms():
            return f"aws_kms, {key.key_id} of {key.endpoint_url or key.region}, with credentials of {key.credentials}"
        case VaultTransit():
            namespace = f" in the namespace {key.namespace}" if key.namespace else ""
            return f"vault_transit, {key.mount}/keys/{key.key} of {key.address}{namespace}"
        case _:
            assert_never(key)


def _files(key: Pem | Tpm2) -> str:
    return str(key.directory or key.file)


def rotation(rules: Rotation | None) -> str:
    """When one key follows another."""
    if rules is None:
        return "none: one key signs for good"
    announce, keep = spell_duration(rules.announce), spell_duration(rules.keep)
    when = f"every {spell_duration(rules.every)}" if rules.automatic else "when told"
    kind = f", as {rules.kind}" if rules.kind else ""
    return f"{when}{kind}; a new key is shown for {announce} before it signs, an old one for {keep} after"


def place(words: Publishing) -> str:
    """Where the keys are published."""
    match words:
        case Directory():
            where = f"to {words.directory}"
        case S3():
            prefix = f"/{words.prefix}" if words.prefix else ""
            where = f"to s3://{words.bucket}{prefix}, with credentials of {words.credentials}"
        case Https():
            where = f"by ourselves, on https://{words.listen}"
        case _:
            assert_never(words)
    return where + (f", with the certificates in {words.certificates}" if words.certificates else "")


def _described(role: Role) -> str:
    match role:
        case StsRole():
            return f"{role.arn} for {spell_duration(role.duration)}, as {role.session_name}"
        case IdentityCenterRole():
            return f"{role.identity}, by whoever signs in"
        case IdentityPoolRole():
            return f"{role.arn}, by the identity pool {role.identity_pool}"
        case _:
            assert_never(role)
