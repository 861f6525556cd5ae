# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/proxy/route.c src/proxy/route.h \
	src/proxy/route_build.c \
	src/proxy/route_explain.c src/proxy/route_explain.h \
	src/proxy/route_match.c \
	src/proxy/route_table.h
src_libwharfgate_a_SOURCES += \
	src/proxy/address_limits.c src/proxy/address_limits.h \
	src/proxy/affinity.c src/proxy/affinity.h \
	src/proxy/attempt.c src/proxy/attempt.h src/proxy/attempt_parts.h \
	src/proxy/buffering.c src/proxy/buffering.h \
	src/proxy/downstream.c src/proxy/downstream.h \
	src/proxy/exchange.c src/proxy/exchange.h \
	src/proxy/exchange_log.c src/proxy/exchange_log.h \
	src/proxy/exchange_state.c \
	src/proxy/filter.h \
	src/proxy/forward.c src/proxy/forward.h \
	src/proxy/plan.h \
	src/proxy/reply.c \
	src/proxy/reply_stream.c \
	src/proxy/request_key.c src/proxy/request_key.h \
	src/proxy/retry.c \
	src/proxy/seek.c \
	src/proxy/transform.c src/proxy/transform.h \
	src/proxy/tunnel.c src/proxy/tunnel.h \
	src/proxy/farewell.c src/proxy/farewell.h \
	src/proxy/variables.c \
	src/proxy/worker.c src/proxy/worker.h
src_libwharfgate_a_SOURCES += \
	src/proxy/access_format.c \
	src/proxy/access_log.c src/proxy/access_log.h
src_libwharfgate_a_SOURCES += src/proxy/stats.c src/proxy/stats.h
