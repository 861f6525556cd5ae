# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/filter/lease_test
tests_unit_filter_lease_test_SOURCES = tests/unit/filter/lease_test.c tests/sim/bucket.h
check_PROGRAMS += tests/unit/filter/lease_threads_test
tests_unit_filter_lease_threads_test_SOURCES = tests/unit/filter/lease_threads_test.c
check_PROGRAMS += tests/unit/filter/limit_script_test
tests_unit_filter_limit_script_test_SOURCES = tests/unit/filter/limit_script_test.c
check_PROGRAMS += tests/unit/filter/limit_top_test
tests_unit_filter_limit_top_test_SOURCES = tests/unit/filter/limit_top_test.c
check_PROGRAMS += tests/unit/filter/concurrency_test
tests_unit_filter_concurrency_test_SOURCES = tests/unit/filter/concurrency_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/filter/rate_limit_test
tests_unit_filter_rate_limit_test_SOURCES = tests/unit/filter/rate_limit_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/filter/limit_debt_test
tests_unit_filter_limit_debt_test_SOURCES = tests/unit/filter/limit_debt_test.c
check_PROGRAMS += tests/unit/filter/headers_test
tests_unit_filter_headers_test_SOURCES = tests/unit/filter/headers_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/filter/security_headers_test
tests_unit_filter_security_headers_test_SOURCES = tests/unit/filter/security_headers_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/filter/rewrite_test
tests_unit_filter_rewrite_test_SOURCES = tests/unit/filter/rewrite_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/filter/maintenance_test
tests_unit_filter_maintenance_test_SOURCES = tests/unit/filter/maintenance_test.c \
	tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
