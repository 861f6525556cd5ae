# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/cli/admin_client.c src/cli/admin_client.h \
	src/cli/check.c \
	src/cli/cli.c src/cli/cli.h \
	src/cli/demo.c \
	src/cli/reference.c \
	src/cli/reload.c \
	src/cli/run.c \
	src/cli/schema.c \
	src/cli/version.c
