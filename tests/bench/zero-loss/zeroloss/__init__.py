# SPDX-License-Identifier: Apache-2.0
"""The trial of deploys and accidents. The engine, the load and the origins are those of tests/e2e/docker;
processes and templates are those of the side-by-side comparison."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TESTS / "bench" / "compare"), str(TESTS / "e2e"), str(TESTS / "e2e" / "docker")]
