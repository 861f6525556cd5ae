# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/discovery/servers.c src/discovery/servers.h
