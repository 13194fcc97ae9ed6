"""Somebody who stands at Cognito's counter, without a socket in between."""

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from agent.sandbox import World
from agent.sandbox.cloud import Cloud
from agent.sandbox.cognito.service import IDENTITY_POOLS, USER_POOLS, Cognito
from agent.sandbox.sts.fetch import Fetched, Unreachable
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.wire import Reply, Wire
from agent.secret import Secret
from agent.tokens.cognito import srp
from tests.fakes.clock import FakeClock
from tests.fakes.cognito import ALL_FLOWS, CLIENT, PASSWORD, USER, a_world, pool_keys, with_client


class Sites:
    """The sites of other issuers."""

    def __init__(self) -> None:
        self.documents: dict[str, object] = {}

    async def get(self, url: str, thumbprints: tuple[str, ...], /) -> Fetched:
        del thumbprints
        if url not in self.documents:
            raise Unreachable(url)
        return Fetched("application/json", json.dumps(self.documents[url]).encode())


def with_all_flows(**changes: Any) -> World:
    return with_client(a_world(), flows=ALL_FLOWS, **changes)


@dataclass
class Counter:
    """The room, and what is asked of it; operations of user pools have their own methods."""

    world: World = field(default_factory=with_all_flows)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.cloud = Cloud(self.world, self.clock, Random(5))
        self.sites = Sites()
        self.room = Cognito(self.cloud).trusting(Issuers(self.sites, self.clock, timedelta(0)))
        for pool in self.world.user_pools:
            self.room.users._keys[pool.pool_id] = pool_keys()

    async def send(self, target: str, members: object, **about: Any) -> Reply:
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        reply = await self.room.answer(
            Wire(**{"method": "POST", "path": "/", "query": "", "headers": headers, "body": body} | about), "request-1"
        )
        assert reply is not None
        return reply

    async def ask(self, operation: str, **members: object) -> dict[str, Any]:
        """What is answered, and the error's name and text under `error`."""
        known = ("GetId", "GetCredentialsForIdentity", "GetOpenIdToken")
        service = IDENTITY_POOLS if operation in known else USER_POOLS
        reply = await self.send(f"{service}.{operation}", members)
        document: dict[str, Any] = json.loads(reply.body)
        if reply.status != 200:
            assert reply.headers["x-amzn-errortype"] == f"{document['__type']}:"
            return {"error": (document["__type"], document["message"])}
        return document

    async def sign_in(self, password: str = PASSWORD, user: str = USER, **parameters: str) -> dict[str, Any]:
        shown = {"USERNAME": user, "PASSWORD": password, **parameters}
        return await self.ask("InitiateAuth", AuthFlow="USER_PASSWORD_AUTH", ClientId=CLIENT, AuthParameters=shown)

    async def tokens(self) -> dict[str, str]:
        found: dict[str, str] = (await self.sign_in())["AuthenticationResult"]
        return found

    async def respond(self, challenge: dict[str, Any], **responses: str) -> dict[str, Any]:
        return await self.ask(
            "RespondToAuthChallenge",
            ClientId=CLIENT,
            ChallengeName=challenge["ChallengeName"],
            Session=challenge.get("Session"),
            ChallengeResponses={"USERNAME": USER, **responses},
        )

    async def pose(self, user: str = USER) -> tuple[srp.Ephemeral, dict[str, Any]]:
        """Begin with SRP."""
        own = srp.begin(Random(9).randbytes(srp.RANDOM_BYTES))
        shown = {"USERNAME": user, "SRP_A": own.shown}
        return own, await self.ask("InitiateAuth", AuthFlow="USER_SRP_AUTH", ClientId=CLIENT, AuthParameters=shown)

    async def prove(
        self, own: srp.Ephemeral, posed: dict[str, Any], password: str = PASSWORD, **responses: str
    ) -> dict[str, Any]:
        about = posed["ChallengeParameters"]
        stamp = responses.get("TIMESTAMP", srp.timestamp(self.clock.now()))
        numbers = srp.Posed(int(about["SALT"], 16), int(about["SRP_B"], 16), base64.b64decode(about["SECRET_BLOCK"]))
        name = about["USER_ID_FOR_SRP"]
        made = srp.proof(own, numbers, pool="Ab129faBb", user=name, password=Secret(password), stamp=stamp)
        shown = {
            "USERNAME": name,
            "PASSWORD_CLAIM_SECRET_BLOCK": about["SECRET_BLOCK"],
            "PASSWORD_CLAIM_SIGNATURE": made,
            "TIMESTAMP": stamp,
        }
        return await self.respond({"ChallengeName": "PASSWORD_VERIFIER"}, **{**shown, **responses})
