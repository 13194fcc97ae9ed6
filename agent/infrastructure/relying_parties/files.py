"""Which files tell a relying party about us, and which words let somebody here have its tokens?"""

import json
from collections.abc import Mapping
from typing import assert_never

from agent.infrastructure.relying_parties import Side, apigateway, azure, gcp, vault


def files(side: Side) -> Mapping[str, str]:
    """Terraform and commands for their side, and the grant for ours, by path."""
    match side.party.name:
        case "apigateway":
            terraform, commands = apigateway.terraform(side), apigateway.commands(side)
        case "azure":
            terraform, commands = azure.terraform(side), azure.commands(side)
        case "gcp":
            terraform, commands = gcp.terraform(side), gcp.commands(side)
        case "vault":
            terraform, commands = vault.terraform(side), vault.commands(side)
        case _:
            assert_never(side.party.name)
    folder = f"relying-parties/{side.party.name}"
    return {
        f"{folder}/main.tf": terraform,
        f"{folder}/commands.sh": commands,
        f"{folder}/grant.toml": grant(side),
    }


def grant(side: Side) -> str:
    """What to write into rolecall.toml, once it is said who is to have the tokens."""
    return f"""\
# To be put into rolecall.toml: whoever is this may have tokens for {side.party.title}.
[[grants]]
audiences = [{json.dumps(side.audience, ensure_ascii=False)}]
unit = "backup.service" # or user, group, container, token_file: all that is said here must hold
"""
