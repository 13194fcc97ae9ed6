"""Which files does one configuration call for, on the side of AWS and of the web site?

All of them with their whole text, by their paths below the folder that they are kept in. Pure.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from agent.errors import ConfigurationError
from agent.infrastructure import Role, Trust, by_account
from agent.infrastructure.cloudformation import cloudformation
from agent.infrastructure.hosting import Bucket, Folder, Site
from agent.infrastructure.hosting_cloudformation import certificate_cloudformation, hosting_cloudformation
from agent.infrastructure.hosting_terraform import hosting_terraform
from agent.infrastructure.nginx import nginx
from agent.infrastructure.terraform import terraform

#: Where the documents go to, for those places that files can be written for; None for any other.
Place = Bucket | Folder | None


def all_files(trust: Trust, roles: Sequence[Role], place: Place) -> Mapping[str, str]:
    """Every file for this issuer, these roles and this place.

    A place that cannot be written down has no files: `why_not` says so. Raises ConfigurationError for a role's file
    that cannot be written, as `terraform` does.
    """
    files: dict[str, str] = {}
    for account, here in by_account(roles).items():
        files[f"terraform/{account.label}/main.tf"] = terraform(trust, account, here)
        files[f"cloudformation/{account.label}.yaml"] = cloudformation(trust, account, here)
    with suppress(ConfigurationError):
        files |= _hosting(trust.issuer, place)
    return files


def why_not(issuer: str, place: Place) -> ConfigurationError | None:
    """Why there are no files for a place; None if there are, or if it is a place that needs none."""
    try:
        _hosting(issuer, place)
    except ConfigurationError as error:
        return error
    return None


def _hosting(issuer: str, place: Place) -> Mapping[str, str]:
    """The files for a place. Raises ConfigurationError."""
    if place is None:
        return {}
    site = Site.of([issuer])
    if isinstance(place, Folder):
        return {f"nginx/{site.label}.conf": nginx(site, dict.fromkeys(site.paths, place))}
    return {
        "terraform/hosting/main.tf": hosting_terraform(site, place),
        "cloudformation/hosting-certificate.yaml": certificate_cloudformation(site),
        "cloudformation/hosting.yaml": hosting_cloudformation(site, place),
    }
