# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/discovery/servers.c src/discovery/servers.h \
	src/discovery/json.c src/discovery/json.h \
	src/discovery/docker_json.c src/discovery/docker_json.h src/discovery/docker_event.c \
	src/discovery/docker_labels.c src/discovery/docker_labels.h \
	src/discovery/docker_route.c src/discovery/docker_route.h src/discovery/docker_routes.c \
	src/discovery/docker_groups.c src/discovery/docker_groups.h \
	src/discovery/docker_pick.c src/discovery/docker_pick.h \
	src/discovery/docker.c src/discovery/docker.h src/discovery/docker_private.h \
	src/discovery/docker_explain.c src/discovery/docker_explain.h \
	src/discovery/docker_known.c src/discovery/docker_lists.c src/discovery/docker_follow.c \
	src/discovery/docker_snapshot.c
