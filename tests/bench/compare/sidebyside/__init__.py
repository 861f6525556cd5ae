# SPDX-License-Identifier: Apache-2.0
"""What `run` is made of: see tests/bench/README.md."""
