# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/filter/gcra_test
tests_unit_filter_gcra_test_SOURCES = tests/unit/filter/gcra_test.c
