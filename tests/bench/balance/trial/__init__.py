# SPDX-License-Identifier: Apache-2.0
"""The trial of balancing algorithms. What it has in common with the comparison (processes,
proxies, templates) is the comparison's."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "compare"))
