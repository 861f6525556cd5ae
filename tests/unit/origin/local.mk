# SPDX-License-Identifier: Apache-2.0
FAKE_EXCHANGE = tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/origin/origins_test
tests_unit_origin_origins_test_SOURCES = tests/unit/origin/origins_test.c $(FAKE_EXCHANGE)
