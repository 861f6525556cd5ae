# SPDX-License-Identifier: Apache-2.0
TLS_TEST_HELPERS = tests/unit/io/tls_pair.c tests/unit/io/tls_pair.h \
	tests/unit/io/tls_pki.c tests/unit/io/tls_pki.h
check_PROGRAMS += tests/unit/io/tls_stream_test
tests_unit_io_tls_stream_test_SOURCES = tests/unit/io/tls_stream_test.c $(TLS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/tls_client_test
tests_unit_io_tls_client_test_SOURCES = tests/unit/io/tls_client_test.c $(TLS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/tls_server_test
tests_unit_io_tls_server_test_SOURCES = tests/unit/io/tls_server_test.c $(TLS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/tls_store_test
tests_unit_io_tls_store_test_SOURCES = tests/unit/io/tls_store_test.c $(TLS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/tls_ticket_test
tests_unit_io_tls_ticket_test_SOURCES = tests/unit/io/tls_ticket_test.c $(TLS_TEST_HELPERS)
CONN_TEST_HELPERS = tests/unit/io/conn_probe.c tests/unit/io/conn_probe.h
check_PROGRAMS += tests/unit/io/address_test
tests_unit_io_address_test_SOURCES = tests/unit/io/address_test.c
check_PROGRAMS += tests/unit/io/alarm_test
tests_unit_io_alarm_test_SOURCES = tests/unit/io/alarm_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/conn_test
tests_unit_io_conn_test_SOURCES = tests/unit/io/conn_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/conn_connect_test
tests_unit_io_conn_connect_test_SOURCES = tests/unit/io/conn_connect_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/deadline_test
tests_unit_io_deadline_test_SOURCES = tests/unit/io/deadline_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/listener_test
tests_unit_io_listener_test_SOURCES = tests/unit/io/listener_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/loop_test
tests_unit_io_loop_test_SOURCES = tests/unit/io/loop_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/mailbox_test
tests_unit_io_mailbox_test_SOURCES = tests/unit/io/mailbox_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/proxy_protocol_test
tests_unit_io_proxy_protocol_test_SOURCES = tests/unit/io/proxy_protocol_test.c
REDIS_TEST_HELPERS = tests/unit/io/redis_server.c tests/unit/io/redis_server.h \
	tests/unit/io/child.c tests/unit/io/child.h $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/redis_conn_test
tests_unit_io_redis_conn_test_SOURCES = tests/unit/io/redis_conn_test.c \
	tests/unit/io/redis_talker.c tests/unit/io/redis_talker.h $(REDIS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/redis_tls_test
tests_unit_io_redis_tls_test_SOURCES = tests/unit/io/redis_tls_test.c \
	tests/unit/io/redis_talker.c tests/unit/io/redis_talker.h \
	tests/unit/io/tls_pki.c tests/unit/io/tls_pki.h $(REDIS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/redis_map_test
tests_unit_io_redis_map_test_SOURCES = tests/unit/io/redis_map_test.c
check_PROGRAMS += tests/unit/io/redis_slots_test
tests_unit_io_redis_slots_test_SOURCES = tests/unit/io/redis_slots_test.c
check_PROGRAMS += tests/unit/io/redis_reply_test
tests_unit_io_redis_reply_test_SOURCES = tests/unit/io/redis_reply_test.c
check_PROGRAMS += tests/unit/io/resolve_test
tests_unit_io_resolve_test_SOURCES = tests/unit/io/resolve_test.c
check_PROGRAMS += tests/unit/io/conn_tls_test
tests_unit_io_conn_tls_test_SOURCES = tests/unit/io/conn_tls_test.c $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/tls_openssl_test
tests_unit_io_tls_openssl_test_SOURCES = tests/unit/io/tls_openssl_test.c $(TLS_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/dns_test
tests_unit_io_dns_test_SOURCES = tests/unit/io/dns_test.c tests/unit/io/dns_server.c \
	tests/unit/io/dns_server.h $(CONN_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/digest_test
tests_unit_io_digest_test_SOURCES = tests/unit/io/digest_test.c
check_PROGRAMS += tests/unit/io/dns_fault_test
tests_unit_io_dns_fault_test_SOURCES = tests/unit/io/dns_fault_test.c tests/unit/io/dns_server.c \
	tests/unit/io/dns_server.h $(CONN_TEST_HELPERS)
HTTP_TEST_HELPERS = tests/unit/io/http_probe.c tests/unit/io/http_probe.h $(CONN_TEST_HELPERS)
HTTP_BENCH = tests/unit/io/http_bench.c tests/unit/io/http_bench.h $(HTTP_TEST_HELPERS)
check_PROGRAMS += tests/unit/io/http_client_test
tests_unit_io_http_client_test_SOURCES = tests/unit/io/http_client_test.c $(HTTP_BENCH)
check_PROGRAMS += tests/unit/io/http_client_trouble_test
tests_unit_io_http_client_trouble_test_SOURCES = tests/unit/io/http_client_trouble_test.c $(HTTP_BENCH)
check_PROGRAMS += tests/unit/io/http_client_cancel_test
tests_unit_io_http_client_cancel_test_SOURCES = tests/unit/io/http_client_cancel_test.c $(HTTP_BENCH)
check_PROGRAMS += tests/unit/io/http_client_tls_test
tests_unit_io_http_client_tls_test_SOURCES = tests/unit/io/http_client_tls_test.c \
	tests/unit/io/child.c tests/unit/io/child.h \
	tests/unit/io/tls_pki.c tests/unit/io/tls_pki.h $(HTTP_TEST_HELPERS)
