# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import make_cert, Origin  # noqa: E402


@pytest.fixture(scope="session")
def cert(tmp_path_factory):
    """(cert, key) for localhost."""
    return make_cert(tmp_path_factory.mktemp("cert"), "localhost", "localhost", "127.0.0.1")


@pytest.fixture
def origin():
    with Origin() as o:
        yield o
