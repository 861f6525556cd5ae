# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/cli/cli_test
tests_unit_cli_cli_test_SOURCES = tests/unit/cli/cli_test.c
