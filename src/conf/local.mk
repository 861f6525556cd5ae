# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/conf/check.c src/conf/check.h \
	src/conf/copy.c \
	src/conf/emit_reference.c src/conf/emit_schema.c src/conf/emit.h \
	src/conf/expand.c src/conf/expand.h \
	src/conf/include.c src/conf/include.h \
	src/conf/load.c src/conf/load.h \
	src/conf/nearest.c src/conf/nearest.h \
	src/conf/part.c src/conf/part.h \
	src/conf/reader.c \
	src/conf/report.c src/conf/report.h \
	src/conf/scan.c src/conf/scan.h \
	src/conf/schema.c src/conf/schema.h \
	src/conf/settings.h \
	src/conf/tables.c src/conf/tables_compress.c src/conf/tables_health.c src/conf/tables_root.c \
	src/conf/tables.c src/conf/tables_files.c src/conf/tables_health.c src/conf/tables_root.c \
	src/conf/tables_limits.c src/conf/tables_route.c src/conf/tables_upstream.c \
	src/conf/tables_headers.c src/conf/tables_limits.c src/conf/tables_route.c src/conf/tables_upstream.c \
	src/conf/template.c src/conf/template.h \
	src/conf/tables.c src/conf/tables_health.c src/conf/tables_root.c \
	src/conf/tables_limits.c src/conf/tables_maintenance.c src/conf/tables_rewrite.c src/conf/tables_route.c src/conf/tables_upstream.c \
	src/conf/tree.c src/conf/tree.h \
	src/conf/types.c src/conf/types_headers.c src/conf/types_http.c src/conf/types_limits.c src/conf/types_upstream.c src/conf/types.h \
	src/conf/value.c src/conf/value.h
