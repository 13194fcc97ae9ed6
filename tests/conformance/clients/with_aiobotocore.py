"""What does aiobotocore do?"""

import asyncio
from typing import Any

from aiobotocore.session import get_session

from tests.conformance.clients.spoken import speak

with asyncio.Runner() as runner:

    def made() -> Any:
        """A client of a new session, open for as long as the program lives."""
        return runner.run(get_session().create_client("sts").__aenter__())

    def asked(sts: Any) -> str:
        """Who we are."""
        return str(runner.run(sts.get_caller_identity())["Arn"])

    speak(made, asked)
