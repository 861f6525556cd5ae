# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/cli/cli_test
tests_unit_cli_cli_test_SOURCES = tests/unit/cli/cli_test.c
check_PROGRAMS += tests/unit/cli/status_test
tests_unit_cli_status_test_SOURCES = tests/unit/cli/status_test.c
check_PROGRAMS += tests/unit/cli/explain_test
tests_unit_cli_explain_test_SOURCES = tests/unit/cli/explain_test.c
