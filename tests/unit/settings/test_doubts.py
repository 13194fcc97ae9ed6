from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.doubts import warnings

Read = Callable[..., Settings]
SOURCE = 'source = "self_signed"'
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
LISTEN = 'credentials = "127.0.0.1:9170"'
KEY = 'custodian = "pem"\ndirectory = "keys"'
TO_DIRECTORY = '\n[publishing]\nto = "directory"\ndirectory = "site"\n'
TO_BUCKET = '\n[publishing]\nto = "s3"\nbucket = "oidc"\nregion = "eu-central-1"\ncredentials = "profile:publisher"\n'
OWN_SITE = '\n[publishing]\nto = "https"\ncertificate = "/etc/chain.pem"\nprivate_key = "/etc/key.pem"\n'
MOVE = '\n[key.next]\ncustodian = "tpm2"\ndirectory = "tpm"\n\n[rotation]\nstate = "keys"\n'
CALLERS = (
    '\n[aws_callers]\nlisten = "127.0.0.1:8443"\nserver_id = "https://tokens.example.com"\n'
    'certificate = "/etc/chain.pem"\nprivate_key = "/etc/key.pem"\n'
)
TO_CALLERS = '\n[[grants]]\naws_account = "123456789012"\naudiences = ["https://api.example.com"]\n'
TOGETHER = '\n[[grants]]\nuser_unit = "sync.service"\nuser = ["ann", "ann-x"]\naudiences = ["a"]\nHOW\n'
SECOND_ROLE = '\n[roles.web]\narn = "arn:aws:iam::123456789012:role/web"\n'


def test_a_plain_configuration_leaves_no_doubt(read: Read) -> None:
    assert warnings(read()) == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ((SOURCE, 'lifetime = "16m"'),
         "identity.lifetime: 16m is long; a token is used within seconds, and whoever steals it can use it as long"),
        ((SOURCE, "pin_roles = false"),
         "identity.pin_roles: is off; one stolen token opens every role that trusts its subject"),
        (("https://oidc", "https://OIDC"),
         'issuer.url: has capitals in its host name; AWS compares byte for byte, "oidc.example.com" is safer'),
        (("https://oidc.example.com", "https://localhost"),
         "issuer.url: AWS must be able to fetch documents from localhost, which is no public name"),
        (("", SECOND_ROLE), "roles.web: is granted to nobody; add [[grants]] with it, or take it out"),
        (('role/backup"', 'role/backup"\nduration = "15m"'),
         ("roles.backup.duration: 15m is short; callers will see credentials with less than 20 minutes left, "
          "for which some SDKs ask again at every request; 1h is usual")),
        ((TOKEN, "anyone = true"),
         "grants#1.anyone: every process that can connect to 127.0.0.1:9170 gets backup"),
        ((LISTEN, 'admin = "0.0.0.0:9171"'),
         ("listen.admin: 0.0.0.0:9171 is not a loopback address: other machines can read metrics and status there; "
          "it serves no secret, but names roles and callers")),
        (("", CALLERS + TO_CALLERS),
         "aws_callers.listen: only this machine can connect to 127.0.0.1:8443, and nobody inside AWS"),
        (("", TOGETHER.replace("HOW", 'subject = "${USER}-${USER_UNIT}"')),
         ("grants#2.subject: nothing keeps ${USER} and ${USER_UNIT} apart, so that one caller may be called what "
          'another one is; put a mark between them that names do not have, as in "/"')),
        (("", TOGETHER.replace("HOW", 'claims = { who = [{ is = "${USER}${USER_UNIT}" }] }')),
         ("grants#2.claims: nothing keeps ${USER} and ${USER_UNIT} apart, so that one caller may be called what "
          'another one is; put a mark between them that names do not have, as in "/"')),
        (("", CALLERS.replace("127.0.0.1", "0.0.0.0")),
         "aws_callers: nobody is granted anything there; add [[grants]] with aws_principal and audiences"),
        (("", "\n[rotation]\nautomatic = false\n"),
         "rotation.automatic: is off; one key signs until somebody says: rolecall keys rotate"),
        (("", '\n[rotation]\nannounce = "23h59m"\n'),
         ("rotation.announce: 23h59m is short; whoever keeps a copy of the key set for longer will refuse the first "
          "tokens of each new key; 24h is usual")),
        (("", '\n[rotation]\nkeep = "4h"\n'),
         ("rotation.keep: 4h is short; that is all the time there is to see that the new key is not accepted "
          "everywhere; 24h is usual")),
        (("", MOVE),
         ("key.next: the keys are moving to tpm2; once rolecall keys list shows none of the old ones, "
          "let [key.next] take [key]'s place")),
        (("", TO_DIRECTORY + 'certificates = "x5c"\n'),
         "publishing.certificates: keys are shown with x5c; Google Cloud refuses key sets that have it"),
        (("", OWN_SITE + 'listen = "0.0.0.0:8443"\n'),
         ("publishing.listen: AWS asks on port 443 alone; something has to forward that to 0.0.0.0:8443")),
        (("", OWN_SITE + 'listen = "127.0.0.1:443"\n'),
         "publishing.listen: only this machine can connect to 127.0.0.1:443, and AWS has to"),
        (("", TO_BUCKET + 'prefix = "site-a"\n'),
         ('publishing.prefix: is "site-a", but the documents of https://oidc.example.com are usually under ""; '
          "leave it so only if the web server makes up for it")),
        ((TOKEN, 'user = "root"'),
         "grants#1.user: every process of root gets backup, most services among them; add unit, unless that is meant"),
        ((TOKEN, 'unit = "session-1.scope"'),
         'grants#1.unit: "session-1.scope" is one session, and the next has another number; grant it by user'),
        (("", f'\n[[grants]]\nroles = ["backup"]\n{TOKEN}\n'),
         "grants#2: everyone whom it gives backup has it from grants#1 already; take backup out of one of them"),
        ((TOKEN, 'unit_token = "a.service"\n[unit_tokens]\noverlap = "6d"'),
         ("unit_tokens.overlap: 6d is short; a unit that is not restarted within 36d may lose its roles; "
          "90d is usual")),
        ((TOKEN, 'container = "a"\n[containers]\nengine = "docker"\nlisten = ["169.254.170.2:80", "127.0.0.1:0"]'),
         "containers.listen#2: with port 0 the address is another one after each start"),
        ((LISTEN, 'credentials = ["127.0.0.1:9170", "[::1]:0"]'),
         "listen.credentials#2: with port 0 the address is another one after each start"),
        ((LISTEN, 'imds = "127.0.0.1:0"'),
         "listen.imds: with port 0 the address is another one after each start"),
        ((LISTEN, 'credentials = "127.0.0.1:0"'),
         "listen.credentials: with port 0 the address is another one after each start"),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant_is_said_once(change: tuple[str, str], doubt: str, read: Read) -> None:
    assert warnings(read(change)) == [doubt]


def test_sections_that_nobody_uses_are_said_to_be_so(read: Read) -> None:
    from_file = (SOURCE, 'source = "file"\nfile = "/var/run/token"')
    said = 'is not used, since identity.source is "file"'
    assert warnings(read(from_file)) == [f"issuer: {said}", f"key: {said}"]
    assert warnings(read(from_file, ("", TO_DIRECTORY))) == []
    assert warnings(read(from_file, ("", "\n[rotation]\n"))) == [*warnings(read(from_file)), f"rotation: {said}"]
    assert warnings(read(from_file, ("", MOVE))) == [*warnings(read(from_file)), f"key.next: {said}"]


@pytest.mark.parametrize("published", [TO_DIRECTORY, TO_BUCKET, OWN_SITE])
def test_publishing_as_usual_leaves_no_doubt(published: str, read: Read) -> None:
    assert warnings(read(("", published))) == []


def test_a_key_that_somebody_else_makes_is_no_doubt_until_it_is_to_rotate(read: Read) -> None:
    one_file = (KEY, 'custodian = "pem"\nfile = "/etc/rolecall/key.pem"')
    assert warnings(read(one_file, ("", TO_DIRECTORY))) == []
    said = "is not automatic, as the agent makes no keys where [key] has them; when it is time, name the next one in"
    assert warnings(read(one_file, ("", TO_DIRECTORY), ("", "\n[rotation]\n"))) == [f"rotation: {said} [key.next]"]


@pytest.mark.parametrize(
    ("issuer", "prefix"),
    [
        ("https://oidc.example.com", ""),
        ("https://oidc.example.com/", ""),
        ("https://oidc.example.com/site-a", "site-a"),
        ("https://oidc.example.com/sites/a/", "sites/a"),
        ("https://s3.eu-central-1.amazonaws.com/oidc", ""),
        ("https://s3.eu-central-1.amazonaws.com/oidc/site-a", "site-a"),
        ("https://oidc.s3.eu-central-1.amazonaws.com/site-a", "site-a"),
    ],
)
def test_the_prefix_in_a_bucket_is_the_path_of_the_issuer(issuer: str, prefix: str, read: Read) -> None:
    url = ("https://oidc.example.com", issuer)
    assert warnings(read(url, ("", f'{TO_BUCKET}prefix = "{prefix}"\n'))) == []
    (doubt,) = warnings(read(url, ("", f'{TO_BUCKET}prefix = "other"\n')))
    assert doubt.startswith('publishing.prefix: is "other", but ')
    assert f' under "{prefix}"; ' in doubt


def test_a_role_that_publishes_needs_no_grant(read: Read) -> None:
    publisher = TO_BUCKET.replace("profile:publisher", "role:web")
    assert warnings(read(("", SECOND_ROLE), ("", publisher))) == []


@pytest.mark.parametrize("words", ['kind = "credentials"\nprofile = "p"', 'kind = "web_identity_token"'])
def test_a_role_that_is_kept_in_a_file_needs_no_grant(words: str, read: Read) -> None:
    file = f'\n[[files]]\n{words}\npath = "a"\nrole = "web"\n'
    assert warnings(read(("", SECOND_ROLE), ("", file))) == []


def test_a_provider_makes_issuer_and_key_superfluous_unless_our_key_shows_it_who_we_are(read: Read) -> None:
    provider = 'source = "oauth2"\nissuer = "https://login.example.com"\nclient_id = "us"\n'
    inside = ('url = "https://oidc.example.com"', 'url = "https://OIDC"')
    said = 'is not used, since identity.source is "oauth2"'

    by_secret = warnings(read((SOURCE, f'{provider}client_secret_file = "/secret"'), inside))
    by_key = warnings(read((SOURCE, f'{provider}client_authentication = "private_key_jwt"'), inside))

    assert by_secret == [f"issuer: {said}", f"key: {said}"]
    assert by_key == []
