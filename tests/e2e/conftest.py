# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import make_cert, Origin  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "long: waits for ten seconds and more, so it begins first")
    config.addinivalue_line("markers", "xdist_group(name): its tests do not run at once")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Where several run at once, nobody waits at the end for one that began last."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def cert(tmp_path_factory):
    """(cert, key) for localhost."""
    return make_cert(tmp_path_factory.mktemp("cert"), "localhost", "localhost", "127.0.0.1")


@pytest.fixture
def origin():
    with Origin() as o:
        yield o
