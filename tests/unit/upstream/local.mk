# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/upstream/balance_test
tests_unit_upstream_balance_test_SOURCES = tests/unit/upstream/balance_test.c
