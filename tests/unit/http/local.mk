# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/http/accept_encoding_test
tests_unit_http_accept_encoding_test_SOURCES = tests/unit/http/accept_encoding_test.c
check_PROGRAMS += tests/unit/http/coding_test
tests_unit_http_coding_test_SOURCES = tests/unit/http/coding_test.c
tests_unit_http_coding_test_LDADD = $(LDADD) $(BROTLIDEC_LIBS)
check_PROGRAMS += tests/unit/http/field_test
tests_unit_http_field_test_SOURCES = tests/unit/http/field_test.c
check_PROGRAMS += tests/unit/http/h1_codec_test
tests_unit_http_h1_codec_test_SOURCES = tests/unit/http/h1_codec_test.c \
	tests/unit/http/h1_peer.c tests/unit/http/h1_peer.h
check_PROGRAMS += tests/unit/http/h1_mirror_test
tests_unit_http_h1_mirror_test_SOURCES = tests/unit/http/h1_mirror_test.c \
	tests/unit/http/h1_peer.c tests/unit/http/h1_peer.h tests/unit/http/h1_request_cases.h
check_PROGRAMS += tests/unit/http/h1_parse_test
tests_unit_http_h1_parse_test_SOURCES = tests/unit/http/h1_parse_test.c
check_PROGRAMS += tests/unit/http/h1_request_test
tests_unit_http_h1_request_test_SOURCES = tests/unit/http/h1_request_test.c \
	tests/unit/http/h1_peer.c tests/unit/http/h1_peer.h tests/unit/http/h1_request_cases.h
check_PROGRAMS += tests/unit/http/h1_response_test
tests_unit_http_h1_response_test_SOURCES = tests/unit/http/h1_response_test.c \
	tests/unit/http/h1_peer.c tests/unit/http/h1_peer.h
check_PROGRAMS += tests/unit/http/h2_abuse_test
tests_unit_http_h2_abuse_test_SOURCES = tests/unit/http/h2_abuse_test.c \
	tests/unit/http/h2_peer.c tests/unit/http/h2_peer.h
check_PROGRAMS += tests/unit/http/h2_budget_test
tests_unit_http_h2_budget_test_SOURCES = tests/unit/http/h2_budget_test.c
check_PROGRAMS += tests/unit/http/h2_close_test
tests_unit_http_h2_close_test_SOURCES = tests/unit/http/h2_close_test.c \
	tests/unit/http/h2_peer.c tests/unit/http/h2_peer.h
check_PROGRAMS += tests/unit/http/h2_codec_test
tests_unit_http_h2_codec_test_SOURCES = tests/unit/http/h2_codec_test.c \
	tests/unit/http/h2_peer.c tests/unit/http/h2_peer.h
check_PROGRAMS += tests/unit/http/h2_goaway_test
tests_unit_http_h2_goaway_test_SOURCES = tests/unit/http/h2_goaway_test.c \
	tests/unit/http/h2_peer.c tests/unit/http/h2_peer.h
check_PROGRAMS += tests/unit/http/h2_head_test
tests_unit_http_h2_head_test_SOURCES = tests/unit/http/h2_head_test.c
check_PROGRAMS += tests/unit/http/h2_tunnel_test
tests_unit_http_h2_tunnel_test_SOURCES = tests/unit/http/h2_tunnel_test.c \
	tests/unit/http/h2_peer.c tests/unit/http/h2_peer.h
check_PROGRAMS += tests/unit/http/query_test
tests_unit_http_query_test_SOURCES = tests/unit/http/query_test.c
check_PROGRAMS += tests/unit/http/uri_test
tests_unit_http_uri_test_SOURCES = tests/unit/http/uri_test.c
check_PROGRAMS += tests/unit/http/websocket_test
tests_unit_http_websocket_test_SOURCES = tests/unit/http/websocket_test.c
check_PROGRAMS += tests/unit/http/conditional_test
tests_unit_http_conditional_test_SOURCES = tests/unit/http/conditional_test.c
check_PROGRAMS += tests/unit/http/date_test
tests_unit_http_date_test_SOURCES = tests/unit/http/date_test.c
check_PROGRAMS += tests/unit/http/range_test
tests_unit_http_range_test_SOURCES = tests/unit/http/range_test.c
check_PROGRAMS += tests/unit/http/pattern_test
tests_unit_http_pattern_test_SOURCES = tests/unit/http/pattern_test.c
check_PROGRAMS += tests/unit/http/target_test
tests_unit_http_target_test_SOURCES = tests/unit/http/target_test.c
