# SPDX-License-Identifier: Apache-2.0
"""The trial of shared limits. Gates, Redis and what happens to it are those of the end-to-end
tests; the load's connections and what is told of the machine are the comparison's."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "bench" / "compare")]
