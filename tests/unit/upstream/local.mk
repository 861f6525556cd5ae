# SPDX-License-Identifier: Apache-2.0
BALANCE_RIG = tests/unit/upstream/balance_rig.c tests/unit/upstream/balance_rig.h
check_PROGRAMS += tests/unit/upstream/alias_test
tests_unit_upstream_alias_test_SOURCES = tests/unit/upstream/alias_test.c
check_PROGRAMS += tests/unit/upstream/balance_test
tests_unit_upstream_balance_test_SOURCES = tests/unit/upstream/balance_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/balance_bound_test
tests_unit_upstream_balance_bound_test_SOURCES = tests/unit/upstream/balance_bound_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/balance_hash_test
tests_unit_upstream_balance_hash_test_SOURCES = tests/unit/upstream/balance_hash_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/balance_load_test
tests_unit_upstream_balance_load_test_SOURCES = tests/unit/upstream/balance_load_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/balance_sticky_test
tests_unit_upstream_balance_sticky_test_SOURCES = tests/unit/upstream/balance_sticky_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/balance_turns_test
tests_unit_upstream_balance_turns_test_SOURCES = tests/unit/upstream/balance_turns_test.c $(BALANCE_RIG)
check_PROGRAMS += tests/unit/upstream/endpoint_test
tests_unit_upstream_endpoint_test_SOURCES = tests/unit/upstream/endpoint_test.c
