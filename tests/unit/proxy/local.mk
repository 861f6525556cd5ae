# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/proxy/route_test
tests_unit_proxy_route_test_SOURCES = tests/unit/proxy/route_test.c
check_PROGRAMS += tests/unit/proxy/access_format_test tests/unit/proxy/access_log_test
tests_unit_proxy_access_format_test_SOURCES = tests/unit/proxy/access_format_test.c
tests_unit_proxy_access_log_test_SOURCES = tests/unit/proxy/access_log_test.c
check_PROGRAMS += tests/unit/proxy/stats_test
tests_unit_proxy_stats_test_SOURCES = tests/unit/proxy/stats_test.c
check_PROGRAMS += tests/unit/proxy/route_explain_test
tests_unit_proxy_route_explain_test_SOURCES = tests/unit/proxy/route_explain_test.c
