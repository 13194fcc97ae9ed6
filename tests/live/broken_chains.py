"""The ways to break the chain, and how each is to be named."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.assembly.keys import make_key
from agent.doctor import Link, Severity
from agent.keys.pem import PemKey
from agent.ring import Held, Member, Ring
from agent.ring_file import Moment, RingFile, Saved
from tests.live.chain import Chain
from tests.live.host import TOKEN

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
KEYS_OF_NOBODY = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = example\n"


@dataclass(frozen=True)
class Case:
    """A way to break the chain, and how it is to be named."""

    name: str
    break_it: Callable[[Chain], object]
    link: Link
    what: str
    hint: str
    severity: Severity = "error"
    agent: bool = False  # whether an agent runs, which was started while all was well


def without_pinning(chain: Chain) -> None:
    chain.write(("[sts]", "[identity]\npin_roles = false\n[sts]"))


def another_key_signs(chain: Chain) -> None:
    """The key is replaced by hand, and nobody publishes."""
    chain.pem.unlink()
    make_key(chain.home / "keys", "ec-p256")


def two_keys(chain: Chain) -> None:
    make_key(chain.home / "keys", "ec-p256")


def ring(chain: Chain, *others: Member, signed_for: timedelta = timedelta(days=1)) -> None:
    """Have a ring on the disk, as an agent would have left it: the key signs, and there are others."""
    public = PemKey.read(chain.pem).public
    signs = Member(public, Held("pem", chain.pem.name, ours=True), "signing", LONG_AGO, signed_for, seen=True)
    moment = Moment(LONG_AGO, "another boot", 0.0)
    RingFile(chain.home / "keys").write(Saved(Ring((signs, *others)), moment, moment))


def announced_long_ago(chain: Chain) -> None:
    pem = chain.pem
    path, public = make_key(chain.home / "keys", "ec-p256")
    elsewhere = path.rename(chain.home / path.name)
    ring(chain, Member(public, Held("pem", path.name, ours=True), "announced", LONG_AGO))
    elsewhere.rename(path)
    assert pem.exists()


def another_under_its_name(chain: Chain) -> None:
    ring(chain)
    pem = chain.pem
    pem.unlink()
    make_key(chain.home / "keys", "ec-p256")[0].rename(pem)


def another_agent(chain: Chain) -> None:
    """Somebody works with the keys, and no agent answers where ours should."""
    ring(chain)
    chain.held.enter_context(RingFile(chain.home / "keys").ours())


def default_profile(chain: Chain) -> None:
    folder = chain.home / "nobody" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(KEYS_OF_NOBODY)


def as_a_program(chain: Chain, **environ: str) -> None:
    """Be in the environment of a program that is to have the role, and in which something else is set."""
    chain.environ |= chain.host.environment("backup") | environ


def with_token_file(chain: Chain, content: str | None) -> None:
    path = chain.home / "copy"
    if content is not None:
        path.write_text(content)
    as_a_program(chain, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path))


def granted(chain: Chain, whom: str) -> None:
    """Have one more grant; the agent reads it when it is started again."""
    chain.write(("[listen]", f'[[grants]]\nroles = ["backup"]\n{whom}\n[listen]'))


def for_everybody(chain: Chain) -> None:
    (chain.home / "etc-environment").write_text('AWS_PROFILE="corporate"\n')


CASES = [
    # --- the key
    Case("no key", lambda c: c.pem.unlink(), "key", "no key", "rolecall keys"),
    Case("a key that others can read", lambda c: c.pem.chmod(0o644), "key", "others", "chmod"),
    Case(
        "a key file that holds something else",
        lambda c: c.pem.write_text("hello"),
        "key",
        "no private key in PEM",
        "correct the path",
    ),
    Case("two keys, and nobody knows which signs", two_keys, "key", "names 2 keys", "key.file"),
    Case("a damaged ring", lambda c: (c.home / "keys/ring.json").write_text("{"), "key", "damaged", "backup"),
    Case("another key under its name", another_under_its_name, "key", "is not to be had", "[key.next]"),
    Case("another agent with our keys", another_agent, "key", "works with the keys in", "stop one of the two"),
    Case("a rotation that is stuck", announced_long_ago, "key", "the rotation is stuck", "publish --check", "warning"),
    Case(
        "a key that is far too old",
        lambda c: ring(c, signed_for=timedelta(days=200)),
        "key",
        "has signed for 200 days",
        "keys rotate",
        "warning",
    ),
    # --- STS
    Case("STS away", lambda c: c.fault(kind="drop"), "sts", "broke off", "between here and STS"),
    Case(
        "STS in trouble", lambda c: c.fault(kind="status", status=503), "sts", "ServiceUnavailable", "AWS has trouble"
    ),
    Case(
        "a region that is switched off",
        lambda c: c.fault(kind="status", status=403, code="RegionDisabledException", message="STS is not activated"),
        "sts",
        "RegionDisabled",
        "activate STS in this region",
    ),
    Case("a sign-in page for STS", lambda c: c.fault(kind="garbage", garbage="html"), "sts", "STS", "sts.endpoint_url"),
    Case(
        "a wrong port",
        lambda c: c.write((c.sandbox.endpoint_url, "http://127.0.0.1:1")),
        "sts",
        "cannot be reached",
        "network",
    ),
    Case(
        "a proxy that is not there",
        lambda c: c.write(("[sts]", '[sts]\nproxy = "http://127.0.0.1:1"')),
        "sts",
        "proxy",
        "sts.proxy",
    ),
    Case(
        "a CA bundle that is not there",
        lambda c: c.write(("[sts]", '[sts]\nca_bundle = "/nonexistent.pem"')),
        "sts",
        "CA bundle",
        "sts.ca_bundle",
    ),
    # --- the clock
    Case(
        "a clock that is 20 minutes slow",
        lambda c: c.fault(kind="clock", seconds=1200),
        "clock",
        "20 min behind",
        "timedatectl",
    ),
    Case(
        "a clock that is an hour fast",
        lambda c: c.fault(kind="clock", seconds=-3600),
        "clock",
        "60 min ahead of",
        "timedatectl",
    ),
    Case(
        "a clock that drifts",
        lambda c: c.fault(kind="clock", seconds=90),
        "clock",
        "s behind",
        "timedatectl",
        "warning",
    ),
    # --- the issuer
    Case("an expired certificate", lambda c: c.site("expired"), "issuer", "has expired", "renew"),
    Case("a certificate for another name", lambda c: c.site("other_name"), "issuer", "another name", "SNI"),
    Case("a certificate that is its own", lambda c: c.site("self_signed"), "issuer", "signed by itself", "thumbprint"),
    Case(
        "a certificate of nobody known", lambda c: c.site("unknown_authority"), "issuer", "no authority", "thumbprint"
    ),
    Case("a chain that is not whole", lambda c: c.site("no_intermediate"), "issuer", "alone", "fullchain"),
    Case("a redirect", lambda c: c.site("redirect"), "issuer", "redirects", "serve the document itself"),
    Case("a site that says 403", lambda c: c.site("status", status=403), "issuer", "403", "everybody"),
    Case("a site that says 500", lambda c: c.site("status", status=500), "issuer", "500", "log of the web server"),
    Case("no content type", lambda c: c.site("bytes"), "issuer", "application/octet-stream", "content type"),
    Case("a sign-in page for the issuer", lambda c: c.site("html"), "issuer", "web page", "sign-in"),
    Case("compressed documents", lambda c: c.site("gzip"), "issuer", "compressed", "Content-Encoding"),
    Case("a site that hangs up", lambda c: c.site("drop"), "issuer", "hung up", "log of the web server"),
    Case("a slash too many", lambda c: c.site("issuer_slash"), "issuer", "'https://oidc.example.com/'", "last byte"),
    Case("capitals in the issuer", lambda c: c.site("issuer_case"), "issuer", "HTTPS://", "last byte"),
    Case("a key set over http", lambda c: c.site("jwks_http"), "issuer", "https alone", "publish again"),
    Case(
        "members of the discovery document missing",
        lambda c: c.site("members_missing"),
        "issuer",
        "which AWS needs",
        "publish",
    ),
    Case("a key set without our key", lambda c: c.site("key_dropped"), "issuer", "no keys", "publish"),
    Case("a key edited by hand", lambda c: c.site("key_changed"), "issuer", "not ours", "edited"),
    Case("a kid twice", lambda c: c.site("kid_twice"), "issuer", "under the kid", "who else"),
    Case("too many keys", lambda c: c.site("keys_too_many"), "issuer", "no more than 100", "fleet.md"),
    Case(
        "documents that were never published",
        lambda c: shutil.rmtree(c.home / "site/.well-known"),
        "issuer",
        "404",
        "rolecall publish",
    ),
    Case("a key that was not published", another_key_signs, "issuer", "is not shown", "rolecall publish"),
    Case(
        "keys that may be kept for a week",
        lambda c: c.site("week"),
        "issuer",
        "7d",
        "max-age=300",
        "warning",
        agent=True,
    ),
    Case(
        "a firewall that keeps AWS out",
        lambda c: c.fault(kind="verification_key"),
        "issuer",
        "verification key",
        "bot rule",
    ),
    Case(
        "AWS cannot reach the issuer",
        lambda c: c.fault(kind="idp_communication"),
        "issuer",
        "IDPCommunicationError",
        "country block",
    ),
    Case(
        "an issuer that cannot be reached from here",
        lambda c: c.write((f'proxy = "{c.sandbox.proxy_url}"', 'proxy = "http://127.0.0.1:1"')),
        "issuer",
        "AWS has read it all the same",
        "see whether its address is right",
        "warning",
        agent=True,
    ),
    # --- the roles
    Case(
        "no provider",
        lambda c: c.provider(url="https://other.example.com"),
        "roles",
        "No OpenIDConnect provider",
        "create the IAM OIDC provider",
    ),
    Case(
        "another audience",
        lambda c: c.provider(client_ids=("other",)),
        "roles",
        "Incorrect token audience",
        "identity.audience",
    ),
    Case(
        "a path that the role does not have",
        lambda c: c.write(("role/backup", "role/ops/night/backup")),
        "roles",
        "there is arn:aws:iam::123456789012:role/backup",
        "without the path",
    ),
    Case(
        "no such role",
        lambda c: c.role(arn="arn:aws:iam::123456789012:role/ops/backup"),
        "roles",
        "Not authorized",
        "with its path",
    ),
    Case(
        "a trust policy for another subject",
        lambda c: c.policy({"Condition": {"StringEquals": {"oidc.example.com:sub": "host:other"}}}),
        "roles",
        "Not authorized",
        "oidc.example.com:sub",
    ),
    Case(
        "a trust policy for another provider",
        lambda c: c.policy({"Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/other.example.com"}}),
        "roles",
        "Not authorized",
        "oidc-provider/oidc.example.com",
    ),
    Case(
        "tokens that are not pinned", without_pinning, "roles", "sts:RoleAuthorizedByIdp", "identity.pin_roles = true"
    ),
    Case(
        "tags that are not allowed",
        lambda c: c.write(("[[grants]]", '[roles.backup.tags]\nteam = "ops"\n[[grants]]')),
        "roles",
        "sts:TagSession",
        "sts:TagSession",
    ),
    Case(
        "a source that may not be named",
        lambda c: c.write(("[sts]", '[identity]\nsource_identity = "ops"\n[sts]')),
        "roles",
        "sts:SetSourceIdentity",
        "source_identity",
    ),
    Case(
        "longer than the role allows",
        lambda c: c.write(('role/backup"', 'role/backup"\nduration = "3h"')),
        "roles",
        "MaxSessionDuration",
        "MaxSessionDuration",
    ),
    Case(
        "a managed policy that does not exist",
        lambda c: c.write(('role/backup"', 'role/backup"\npolicy_arns = ["arn:aws:iam::aws:policy/Nope"]')),
        "roles",
        "backup",
        "policy",
    ),
    # --- the endpoint
    Case("no agent", lambda _: None, "endpoint", "no agent runs", "systemctl start", "warning"),
    Case(
        "a token that the agent does not know",
        lambda c: (c.home / "token").write_text("x" * 40),
        "endpoint",
        "refused role backup",
        "grants",
        agent=True,
    ),
    Case(
        "a token file that is gone",
        lambda c: (c.home / "token").unlink(),
        "endpoint",
        "no token file that grants role backup exists",
        "rolecall token new",
        agent=True,
    ),
    Case(
        "another agent at this address",
        lambda c: c.write(("[roles.backup]", "[roles.files]"), ('["backup"]', '["files"]')),
        "endpoint",
        "other roles",
        "restart",
        agent=True,
    ),
    # --- the callers
    Case(
        "a user who is not there",
        lambda c: granted(c, 'user = "nosuch-alice"'),
        "callers",
        "no user 'nosuch-alice' is on this machine",
        "getent passwd",
        "warning",
        agent=True,
    ),
    Case(
        "a unit that is misspelt",
        lambda c: granted(c, f'unit_token = "bakcup-nosuch@a.service"\n[unit_tokens]\nsecret = "{c.home}/secret"'),
        "callers",
        "no unit 'bakcup-nosuch@a.service' is on this machine",
        "systemctl list-unit-files",
        "warning",
        agent=True,
    ),
    Case(
        "an engine that does not answer",
        lambda c: granted(c, f'container = "web"\n[containers]\nengine = "podman"\nsocket = "{c.home}/no.sock"'),
        "callers",
        "grants name containers, and podman at",
        "start it",
        agent=True,
    ),
    # --- the environment
    Case(
        "a profile",
        lambda c: as_a_program(c, AWS_PROFILE="corporate"),
        "environment",
        "AWS_PROFILE",
        "rolecall exec",
        agent=True,
    ),
    Case(
        "a profile elsewhere",
        lambda c: c.environ.update(AWS_PROFILE="x"),
        "environment",
        "AWS_PROFILE",
        "rolecall exec",
        "warning",
        agent=True,
    ),
    Case(
        "a profile for everybody",
        for_everybody,
        "environment",
        "etc-environment",
        "rolecall exec",
        "warning",
        agent=True,
    ),
    Case(
        "static keys",
        lambda c: as_a_program(c, AWS_ACCESS_KEY_ID="AKIA"),
        "environment",
        "AWS_ACCESS_KEY_ID",
        "unset",
        agent=True,
    ),
    Case(
        "a web identity",
        lambda c: as_a_program(c, AWS_WEB_IDENTITY_TOKEN_FILE="/t"),
        "environment",
        "WEB_IDENTITY",
        "unset",
        agent=True,
    ),
    Case(
        "a relative URI",
        lambda c: as_a_program(c, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/x"),
        "environment",
        "RELATIVE_URI",
        "unset",
        agent=True,
    ),
    Case(
        "a default profile with keys",
        default_profile,
        "environment",
        "[default]",
        "another name",
        "warning",
        agent=True,
    ),
    Case(
        "another port",
        lambda c: as_a_program(c, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/v1/credentials/backup"),
        "environment",
        "leads to 127.0.0.1:9",
        "rolecall env",
        agent=True,
    ),
    Case(
        "another role",
        lambda c: as_a_program(c, AWS_CONTAINER_CREDENTIALS_FULL_URI=c.host.url + "/v1/credentials/nope"),
        "environment",
        "/nope",
        "rolecall env",
        agent=True,
    ),
    Case(
        "localhost",
        lambda c: as_a_program(
            c,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=c.host.url.replace("127.0.0.1", "localhost") + "/v1/credentials/backup",
        ),
        "environment",
        "localhost",
        "rolecall env",
        "warning",
        agent=True,
    ),
    Case(
        "a newline in the token file",
        lambda c: with_token_file(c, TOKEN + "\n"),
        "environment",
        "newline",
        "printf",
        agent=True,
    ),
    Case(
        "no token file",
        lambda c: with_token_file(c, None),
        "environment",
        "cannot be read",
        "correct the path",
        agent=True,
    ),
    Case(
        "a proxy that would see the token",
        lambda c: as_a_program(c, HTTP_PROXY="http://proxy.example.com:3128"),
        "environment",
        "to the proxy",
        "NO_PROXY",
        agent=True,
    ),
    Case(
        "another place than AWS",
        lambda c: c.environ.update(AWS_ENDPOINT_URL_S3="https://s3.example.com"),
        "environment",
        "AWS_ENDPOINT_URL_S3",
        "unset",
        "warning",
        agent=True,
    ),
    Case(
        "authorities that are not there",
        lambda c: c.environ.update(AWS_CA_BUNDLE="/nonexistent.pem"),
        "environment",
        "AWS_CA_BUNDLE",
        "unset",
        "warning",
        agent=True,
    ),
]
