# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/proxy/route_test
tests_unit_proxy_route_test_SOURCES = tests/unit/proxy/route_test.c
