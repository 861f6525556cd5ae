# SPDX-License-Identifier: Apache-2.0
if HAVE_ISAL
src_libwharfgate_a_SOURCES += src/http/coding_isal.c
endif
if HAVE_BROTLI
src_libwharfgate_a_SOURCES += src/http/coding_brotli.c
endif
if HAVE_ZSTD
src_libwharfgate_a_SOURCES += src/http/coding_zstd.c
endif
src_libwharfgate_a_SOURCES += \
	src/http/accept_encoding.c src/http/accept_encoding.h \
	src/http/chars.c src/http/chars.h \
	src/http/codec.h \
	src/http/coder_pool.c src/http/coder_pool.h \
	src/http/coding.c src/http/coding.h src/http/coding_private.h \
	src/http/coding_zlib.c \
	src/http/conditional.c src/http/conditional.h \
	src/http/date.c src/http/date.h \
	src/http/field.c \
	src/http/h1.h \
	src/http/h1_body.c src/http/h1_body.h \
	src/http/h1_codec.c \
	src/http/h1_parse.c src/http/h1_parse.h \
	src/http/h1_private.h \
	src/http/h1_receive.c \
	src/http/h1_send.c \
	src/http/h1_write.c src/http/h1_write.h \
	src/http/h2.h \
	src/http/h2_budget.c src/http/h2_budget.h \
	src/http/h2_codec.c \
	src/http/h2_head.c src/http/h2_head.h \
	src/http/h2_private.h \
	src/http/h2_receive.c \
	src/http/h2_send.c \
	src/http/message.h \
	src/http/method.c \
	src/http/names.h \
	src/http/pattern.c src/http/pattern.h \
	src/http/query.c src/http/query.h \
	src/http/range.c src/http/range.h \
	src/http/rules.c src/http/rules.h \
	src/http/scan.h \
	src/http/status.c \
	src/http/target.c src/http/target.h \
	src/http/uri.c src/http/uri.h \
	src/http/websocket.c src/http/websocket.h
