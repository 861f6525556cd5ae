# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += src/filter/lease.c src/filter/lease.h
src_libwharfgate_a_SOURCES += \
	src/filter/limit_debt.c src/filter/limit_debt.h \
	src/filter/limit_node.c src/filter/limit_parts.h \
	src/filter/limit_remote.c src/filter/limit_remote.h \
	src/filter/limit_script.c src/filter/limit_script.h \
	src/filter/limit_store.c src/filter/limit_store.h \
	src/filter/limit_top.c src/filter/limit_top.h
src_libwharfgate_a_SOURCES += src/filter/compress.c src/filter/compress.h
src_libwharfgate_a_SOURCES += src/filter/concurrency.c src/filter/concurrency.h
src_libwharfgate_a_SOURCES += src/filter/rate_limit.c src/filter/rate_limit.h
src_libwharfgate_a_SOURCES += src/filter/headers.c src/filter/headers.h
src_libwharfgate_a_SOURCES += src/filter/security_headers.c src/filter/security_headers.h
src_libwharfgate_a_SOURCES += src/filter/canonical.c src/filter/canonical.h
src_libwharfgate_a_SOURCES += src/filter/rewrite.c src/filter/rewrite.h
src_libwharfgate_a_SOURCES += src/filter/maintenance.c src/filter/maintenance.h
