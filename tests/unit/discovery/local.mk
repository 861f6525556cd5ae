# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/discovery/servers_test
tests_unit_discovery_servers_test_SOURCES = tests/unit/discovery/servers_test.c \
	tests/unit/io/dns_server.c tests/unit/io/dns_server.h \
	tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
