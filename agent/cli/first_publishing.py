"""Where does a first configuration publish to, and what does that take?"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.errors import ConfigurationError

#: What each place takes: the option, the word of [publishing] that it becomes, and what it is, for people.
_TAKES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "directory": (),
    "s3": (
        ("--bucket", "bucket", "the bucket's name, as in oidc-example-com"),
        ("--bucket-credentials", "credentials", "whose credentials write there, as in profile:hosting"),
    ),
    "https": (
        ("--certificate", "certificate", "the PEM file of the chain, this host's certificate first"),
        ("--certificate-key", "private_key", "the PEM file of its private key"),
    ),
}


def add_publishing(parser: argparse.ArgumentParser) -> None:
    """Add --publish, and what the places take."""
    add = parser.add_argument
    add(
        "--publish",
        choices=tuple(_TAKES),
        default="directory",
        help="where the issuer's documents go: a directory that a web server shows, a bucket behind CloudFront, or our "
        "own HTTPS listener (default: %(default)s)",
    )
    for place, options in _TAKES.items():
        for option, _, what in options:
            add(option, metavar=option.removeprefix("--bucket-").strip("-").upper(), help=f"with {place}: {what}")
    add("--bucket-region", metavar="REGION", help="with s3: where the bucket is (default: as --region)")


def publishing_of(arguments: argparse.Namespace, issuer: str, region: str) -> Mapping[str, str]:
    """The words of [publishing], if it is another place than the site of our own; else none.

    Raises ConfigurationError for an option that is missing, or that means nothing for this place.
    """
    given = {option: _given(arguments, option) for options in _TAKES.values() for option, _, _ in options}
    given["--bucket-region"] = arguments.bucket_region
    wanted = {option: (word, what) for option, word, what in _TAKES[arguments.publish]}
    for option, value in given.items():
        belongs = option in wanted or (option == "--bucket-region" and arguments.publish == "s3")
        if value is not None and not belongs:
            raise ConfigurationError(
                f"{option} means nothing with --publish {arguments.publish}", hint="leave it out, or see: init --help"
            )
    words = {"to": arguments.publish}
    for option, (word, what) in wanted.items():
        value = given[option]
        if value is None:
            raise ConfigurationError(f"--publish {arguments.publish} takes {option} as well", hint=f"it is {what}")
        words[word] = value if arguments.publish == "s3" else str(Path(value).absolute())
    if arguments.publish == "s3":
        words["region"] = arguments.bucket_region or region
        if prefix := urlsplit(issuer).path.strip("/"):
            words["prefix"] = prefix
    return words if len(words) > 1 else {}


def _given(arguments: argparse.Namespace, option: str) -> str | None:
    value: str | None = getattr(arguments, option.removeprefix("--").replace("-", "_"))
    return value
