# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/control/registry_test
tests_unit_control_registry_test_SOURCES = tests/unit/control/registry_test.c
check_PROGRAMS += tests/unit/control/sockets_test
tests_unit_control_sockets_test_SOURCES = tests/unit/control/sockets_test.c
check_PROGRAMS += tests/unit/control/supervisor_serve_test
tests_unit_control_supervisor_serve_test_SOURCES = tests/unit/control/supervisor_serve_test.c
check_PROGRAMS += tests/unit/control/plan_build_test
tests_unit_control_plan_build_test_SOURCES = tests/unit/control/plan_build_test.c
check_PROGRAMS += tests/unit/control/snapshot_test
tests_unit_control_snapshot_test_SOURCES = tests/unit/control/snapshot_test.c
PROBE_TEST_HELPERS = tests/unit/control/probe_rig.c tests/unit/control/probe_rig.h
check_PROGRAMS += tests/unit/control/probe_http_test
tests_unit_control_probe_http_test_SOURCES = tests/unit/control/probe_http_test.c \
	$(PROBE_TEST_HELPERS)
check_PROGRAMS += tests/unit/control/probe_grpc_test
tests_unit_control_probe_grpc_test_SOURCES = tests/unit/control/probe_grpc_test.c \
	$(PROBE_TEST_HELPERS)
check_PROGRAMS += tests/unit/control/probe_conn_test
tests_unit_control_probe_conn_test_SOURCES = tests/unit/control/probe_conn_test.c \
	$(PROBE_TEST_HELPERS)
check_PROGRAMS += tests/unit/control/prober_test
tests_unit_control_prober_test_SOURCES = tests/unit/control/prober_test.c $(PROBE_TEST_HELPERS)
check_PROGRAMS += tests/unit/control/explain_request_test
tests_unit_control_explain_request_test_SOURCES = tests/unit/control/explain_request_test.c
REDIS_WATCH_HELPERS = tests/unit/control/redis_rig.c tests/unit/control/redis_rig.h \
	tests/unit/io/redis_talker.c tests/unit/io/redis_talker.h $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/control/redis_watch_test
tests_unit_control_redis_watch_test_SOURCES = tests/unit/control/redis_watch_test.c \
	tests/unit/io/dns_server.c tests/unit/io/dns_server.h \
	tests/unit/io/redis_server.c tests/unit/io/redis_server.h \
	tests/unit/io/child.c tests/unit/io/child.h $(REDIS_WATCH_HELPERS)
check_PROGRAMS += tests/unit/control/redis_follow_test
tests_unit_control_redis_follow_test_SOURCES = tests/unit/control/redis_follow_test.c \
	$(REDIS_WATCH_HELPERS)
