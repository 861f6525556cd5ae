# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/discovery/servers_test
tests_unit_discovery_servers_test_SOURCES = tests/unit/discovery/servers_test.c \
	tests/unit/io/dns_server.c tests/unit/io/dns_server.h \
	tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
check_PROGRAMS += tests/unit/discovery/docker_known_test
tests_unit_discovery_docker_known_test_SOURCES = tests/unit/discovery/docker_known_test.c
check_PROGRAMS += tests/unit/discovery/docker_json_test
tests_unit_discovery_docker_json_test_SOURCES = tests/unit/discovery/docker_json_test.c \
	tests/unit/discovery/recorded.c tests/unit/discovery/recorded.h
check_PROGRAMS += tests/unit/discovery/docker_event_test
tests_unit_discovery_docker_event_test_SOURCES = tests/unit/discovery/docker_event_test.c \
	tests/unit/discovery/recorded.c tests/unit/discovery/recorded.h
check_PROGRAMS += tests/unit/discovery/docker_pick_test
tests_unit_discovery_docker_pick_test_SOURCES = tests/unit/discovery/docker_pick_test.c \
	tests/unit/discovery/recorded.c tests/unit/discovery/recorded.h
check_PROGRAMS += tests/unit/discovery/docker_labels_test
tests_unit_discovery_docker_labels_test_SOURCES = tests/unit/discovery/docker_labels_test.c \
	tests/unit/discovery/recorded.c tests/unit/discovery/recorded.h
check_PROGRAMS += tests/unit/discovery/docker_explain_test
tests_unit_discovery_docker_explain_test_SOURCES = tests/unit/discovery/docker_explain_test.c
check_PROGRAMS += tests/unit/discovery/docker_groups_test
tests_unit_discovery_docker_groups_test_SOURCES = tests/unit/discovery/docker_groups_test.c
