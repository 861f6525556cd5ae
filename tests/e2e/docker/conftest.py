# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that have a Docker engine."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from engine import Engine  # noqa: E402
from podman_engine import why_not  # noqa: E402

# What cannot run here is left out, not skipped: it is the machine's lack, no test's.
collect_ignore = ["test_podman.py"] if why_not() else []


@pytest.fixture(scope="session")
def one_engine():
    with Engine() as engine:
        yield engine


@pytest.fixture
def engine(one_engine):
    """The engine, empty."""
    one_engine.clear()
    yield one_engine
    one_engine.clear()
