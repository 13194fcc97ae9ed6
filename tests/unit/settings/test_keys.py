from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from agent.keys import Algorithm
from agent.settings import Pem, Settings

KEY = 'custodian = "pem"\ndirectory = "keys"'
Read = Callable[..., Settings]


def test_a_key_may_be_one_file_with_a_passphrase_in_another(read: Read) -> None:
    new = 'custodian = "pem"\nfile = "credential:key"\npassphrase_file = "/etc/rolecall/pass"'
    key = read((KEY, new), CREDENTIALS_DIRECTORY="/run/credentials/rolecall.service").key
    assert isinstance(key, Pem)
    assert key.file == Path("/run/credentials/rolecall.service/key")
    assert key.passphrase_file == Path("/etc/rolecall/pass")
    assert key.directory is None


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_every_algorithm_that_sts_takes_may_be_named(algorithm: str, read: Read) -> None:
    key = read((KEY, f'{KEY}\nalgorithm = "{algorithm}"')).key
    assert key is not None
    assert key.algorithm == algorithm
