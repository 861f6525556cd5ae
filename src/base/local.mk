# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/base/arena.c src/base/arena.h \
	src/base/block.c src/base/block.h \
	src/base/buffer.c src/base/buffer.h \
	src/base/clock.c src/base/clock.h \
	src/base/counter.h \
	src/base/decimal.c src/base/decimal.h \
	src/base/error.c src/base/error.h \
	src/base/gcra.c src/base/gcra.h \
	src/base/glob.c src/base/glob.h \
	src/base/list.h \
	src/base/log.c src/base/log.h \
	src/base/map.c src/base/map.h \
	src/base/memory.c src/base/memory.h \
	src/base/outq.c src/base/outq.h \
	src/base/random.c src/base/random.h \
	src/base/slice.h \
	src/base/tally.c src/base/tally.h \
	src/base/utf8.c src/base/utf8.h
