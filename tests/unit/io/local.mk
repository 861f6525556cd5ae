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
