# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/cli/admin_client.c src/cli/admin_client.h \
	src/cli/cells.c src/cli/cells.h \
	src/cli/check.c \
	src/cli/cli.c src/cli/cli.h \
	src/cli/demo.c \
	src/cli/explain.c \
	src/cli/explain_view.c src/cli/explain_view.h \
	src/cli/limits.c \
	src/cli/limits_view.c src/cli/limits_view.h \
	src/cli/maintenance.c \
	src/cli/reference.c \
	src/cli/reload.c \
	src/cli/run.c \
	src/cli/schema.c \
	src/cli/status.c \
	src/cli/status_data.c src/cli/status_data.h \
	src/cli/status_head.c src/cli/status_head.h \
	src/cli/status_lines.c src/cli/status_lines.h \
	src/cli/status_view.c src/cli/status_view.h \
	src/cli/status_watch.c src/cli/status_watch.h \
	src/cli/status_words.c src/cli/status_words.h \
	src/cli/terminal.c src/cli/terminal.h \
	src/cli/trial.c src/cli/trial.h \
	src/cli/version.c
