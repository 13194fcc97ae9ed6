from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import S3, Directory, Https, Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

BUCKET = 'to = "s3"\nbucket = "oidc-example-com"\nregion = "eu-central-1"\ncredentials = "role:backup"'
OWN = 'to = "https"\ncertificate = "/etc/ssl/fullchain.pem"\nprivate_key = "credential:tls-key"'


def section(words: str) -> tuple[str, str]:
    return "", f"\n[publishing]\n{words}\n"


def test_documents_go_to_a_directory_beside_the_file_or_anywhere(read: Read, tmp_path: Path) -> None:
    near = read(section('to = "directory"\ndirectory = "site"')).publishing
    far = read(section('to = "directory"\ndirectory = "/var/www"\nmax_age = "1h"\ncertificates = "x5c"')).publishing
    assert isinstance(near, Directory)
    assert isinstance(far, Directory)
    assert (near.directory, near.max_age, near.certificates) == (tmp_path / "site", timedelta(minutes=5), None)
    assert (far.directory, far.max_age, far.certificates) == (Path("/var/www"), timedelta(hours=1), tmp_path / "x5c")


def test_a_bucket_needs_a_name_a_region_and_somebodys_credentials(read: Read) -> None:
    place = read(section(BUCKET)).publishing
    assert isinstance(place, S3)
    assert (place.bucket, place.region, place.prefix) == ("oidc-example-com", "eu-central-1", "")
    assert (place.credentials, place.max_age, place.proxy) == ("role:backup", timedelta(minutes=5), None)


@pytest.mark.parametrize("name", ["profile:publisher", "environment", "container", "instance"])
def test_credentials_for_the_bucket_may_be_those_of_others(read: Read, name: str) -> None:
    place = read(section(BUCKET.replace("role:backup", name))).publishing
    assert isinstance(place, S3)
    assert place.credentials == name


def test_a_bucket_may_be_reached_through_a_proxy_in_the_clear_but_not_itself_be(read: Read, mistakes: Mistakes) -> None:
    place = read(section(f'{BUCKET}\nproxy = "http://proxy.example.com:3128"')).publishing
    assert isinstance(place, S3)
    assert place.proxy == "http://proxy.example.com:3128"
    (told,) = mistakes(section(f'{BUCKET}\nendpoint_url = "http://s3.example.com"'))
    assert told.startswith("publishing.endpoint_url: ")


@pytest.mark.parametrize("prefix", ["", "site-a", "site-a/", "a/b_c/d.e~f", "..."])
def test_the_keys_in_a_bucket_may_begin_with_a_path(read: Read, prefix: str) -> None:
    place = read(section(f'{BUCKET}\nprefix = "{prefix}"')).publishing
    assert isinstance(place, S3)
    assert place.prefix == prefix.rstrip("/")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"oidc-example-com"', '"OIDC"', 'publishing.bucket: "OIDC" is no name for a bucket'),
        ('"oidc-example-com"', '"a..b"', 'publishing.bucket: "a..b" is no name for a bucket'),
        ('"oidc-example-com"', '"ab"', 'publishing.bucket: "ab" is no name for a bucket'),
        ('"eu-central-1"', '"Frankfurt"', 'publishing.region: "Frankfurt" does not look like a region'),
        ('"role:backup"', '"AKIAEXAMPLE"', "publishing.credentials: must say which credentials are used"),
        ('"role:backup"', '"role:"', "publishing.credentials: names no role that could be in this file"),
        ('"role:backup"', '"role:backups"', 'publishing.credentials: "backups" is none of the roles of this file'),
        ("region", 'prefix = "/a"\nregion', "publishing.prefix: must be the beginning of keys"),
        ("region", 'prefix = "a//b"\nregion', "publishing.prefix: must be the beginning of keys"),
        ("region", 'prefix = "//"\nregion', "publishing.prefix: must be the beginning of keys"),
        ("region", 'prefix = "a/./b"\nregion', "publishing.prefix: must be the beginning of keys"),
        ("region", 'prefix = "a b"\nregion', "publishing.prefix: must be the beginning of keys"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(mistakes: Mistakes, old: str, new: str, said: str) -> None:
    (told,) = mistakes(section(BUCKET.replace(old, new, 1)))
    assert told.startswith(said)


def test_our_own_site_listens_for_everybody_on_the_port_of_https(read: Read) -> None:
    place = read(section(OWN), CREDENTIALS_DIRECTORY="/run/credentials/rolecall.service").publishing
    assert isinstance(place, Https)
    assert str(place.listen) == "0.0.0.0:443"
    assert place.certificate == Path("/etc/ssl/fullchain.pem")
    assert place.private_key == Path("/run/credentials/rolecall.service/tls-key")


def test_our_own_site_may_listen_elsewhere(read: Read) -> None:
    words = OWN.replace("credential:tls-key", "/etc/ssl/privkey.pem") + '\nlisten = "[2001:db8::1]:8443"'
    place = read(section(words)).publishing
    assert isinstance(place, Https)
    assert place.listen == ("2001:db8::1", 8443)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"/etc/ssl/fullchain.pem"', "1", "publishing.certificate: must be text in quotes"),
        ('"credential:tls-key"', '"privkey.pem"', "publishing.private_key: must be the absolute path of a file"),
        ("certificate", 'listen = "localhost:443"\ncertificate', "publishing.listen: "),
        ("certificate", 'listen = "127.0.0.1:9170"\ncertificate', "publishing.listen: is the address of listen.cred"),
        ("certificate", 'listen = "0.0.0.0:9171"\ncertificate', "publishing.listen: is the address of listen.admin"),
        ("certificate", 'directory = "/var/www"\ncertificate', "publishing.directory: is unknown"),
    ],
)
def test_a_site_of_ours_that_cannot_be_is_refused(mistakes: Mistakes, old: str, new: str, said: str) -> None:
    (told,) = mistakes(section(OWN.replace(old, new, 1)), CREDENTIALS_DIRECTORY="/run/credentials/rolecall.service")
    assert told.startswith(said)


def test_a_role_publishes_to_buckets_of_its_own_partition(read: Read, mistakes: Mistakes) -> None:
    china = [("arn:aws:iam", "arn:aws-cn:iam"), ('"eu-central-1"', '"cn-north-1"')]
    place = read(*china, section(BUCKET.replace("eu-central-1", "cn-northwest-1"))).publishing
    assert isinstance(place, S3)
    (told,) = mistakes(*china, section(BUCKET))
    assert told.startswith(
        'publishing.region: "eu-central-1" is in partition aws, but the role "backup" in another, aws-'
    )


def test_a_role_that_is_wrong_by_itself_is_no_second_mistake(mistakes: Mistakes) -> None:
    assert len(mistakes(("role/backup", "user/backup"), section(BUCKET))) == 1
