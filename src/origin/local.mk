# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/origin/admin.c src/origin/admin.h \
	src/origin/demo.c src/origin/demo.h \
	src/origin/page.c src/origin/page.h \
	src/origin/redirect.c src/origin/redirect.h \
	src/origin/respond.c src/origin/respond.h
