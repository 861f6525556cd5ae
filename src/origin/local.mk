# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/origin/admin.c src/origin/admin.h \
	src/origin/demo.c src/origin/demo.h \
	src/origin/file_cache.c src/origin/file_cache.h \
	src/origin/files.c src/origin/files.h \
	src/origin/files_list.c \
	src/origin/files_path.c src/origin/files_path.h \
	src/origin/files_reply.c \
	src/origin/mime.c src/origin/mime.h \
	src/origin/page.c src/origin/page.h \
	src/origin/redirect.c src/origin/redirect.h \
	src/origin/respond.c src/origin/respond.h
