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
ROSTER_RIG = tests/unit/upstream/roster_rig.c tests/unit/upstream/roster_rig.h
check_PROGRAMS += tests/unit/upstream/roster_test
tests_unit_upstream_roster_test_SOURCES = tests/unit/upstream/roster_test.c $(ROSTER_RIG)
check_PROGRAMS += tests/unit/upstream/roster_eject_test
tests_unit_upstream_roster_eject_test_SOURCES = tests/unit/upstream/roster_eject_test.c $(ROSTER_RIG)
check_PROGRAMS += tests/unit/upstream/roster_reload_test
tests_unit_upstream_roster_reload_test_SOURCES = tests/unit/upstream/roster_reload_test.c $(ROSTER_RIG)
CLIENT_RIG = tests/unit/upstream/client_rig.c tests/unit/upstream/client_rig.h $(ROSTER_RIG)
check_PROGRAMS += tests/unit/upstream/choice_test
tests_unit_upstream_choice_test_SOURCES = tests/unit/upstream/choice_test.c $(CLIENT_RIG) \
	tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
check_PROGRAMS += tests/unit/upstream/turns_test
tests_unit_upstream_turns_test_SOURCES = tests/unit/upstream/turns_test.c $(CLIENT_RIG) \
	tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
check_PROGRAMS += tests/unit/upstream/turns_race_test
tests_unit_upstream_turns_race_test_SOURCES = tests/unit/upstream/turns_race_test.c $(CLIENT_RIG) \
	tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
