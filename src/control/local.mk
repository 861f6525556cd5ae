# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += \
	src/control/announce.c src/control/announce.h \
	src/control/body_regex.c \
	src/control/credentials.c src/control/credentials.h \
	src/control/crew.c src/control/crew.h \
	src/control/expiries.c src/control/expiries.h \
	src/control/explain.c src/control/explain.h src/control/explain_parts.h \
	src/control/explain_choice.c \
	src/control/explain_container.c \
	src/control/explain_request.c \
	src/control/explain_url.c \
	src/control/file_watch.c src/control/file_watch.h \
	src/control/gate.c src/control/gate.h src/control/gate_parts.h \
	src/control/gate_admin.c \
	src/control/gate_endpoints.c \
	src/control/gate_limits.c \
	src/control/gate_labels.c \
	src/control/gate_logs.c \
	src/control/gate_maintenance.c src/control/gate_metrics.c \
	src/control/gate_reload.c \
	src/control/gate_store.c \
	src/control/gate_upstreams.c \
	src/control/maintenance.c src/control/maintenance.h \
	src/control/manifest.c src/control/manifest.h \
	src/control/open_file.c src/control/open_file.h \
	src/control/plan_build.c src/control/plan_build.h src/control/plan_parts.h \
	src/control/plan_listeners.c \
	src/control/plan_routes.c \
	src/control/plan_store.c \
	src/control/plan_tls.c \
	src/control/plan_upstreams.c \
	src/control/privileged.c src/control/privileged.h \
	src/control/prober.c src/control/prober.h src/control/prober_parts.h \
	src/control/probe_conn.c \
	src/control/probe_grpc.c \
	src/control/probe_http.c \
	src/control/redis_guide.c src/control/redis_link.c src/control/redis_link.h \
	src/control/redis_names.c src/control/redis_names.h \
	src/control/redis_watch.c src/control/redis_watch.h src/control/redis_watch_parts.h \
	src/control/registry.c src/control/registry.h \
	src/control/snapshot.c src/control/snapshot.h \
	src/control/sockets.c src/control/sockets.h \
	src/control/supervisor.c src/control/supervisor.h src/control/supervisor_parts.h \
	src/control/supervisor_child.c \
	src/control/supervisor_serve.c \
	src/control/version.c src/control/version.h \
	src/control/wire.c src/control/wire.h
