# SPDX-License-Identifier: Apache-2.0
src_libwharfgate_a_SOURCES += src/io/tls.h src/io/tls_internal.h \
	src/io/tls_bio.c src/io/tls_check.c src/io/tls_client.c src/io/tls_expiry.c src/io/tls_info.c \
	src/io/tls_ocsp.c src/io/tls_pem.c src/io/tls_selfsigned.c src/io/tls_server.c \
	src/io/tls_sites.c src/io/tls_store.c src/io/tls_stream.c src/io/tls_ticket.c
src_libwharfgate_a_SOURCES += src/io/address.c src/io/address.h \
	src/io/alarm.c src/io/alarm.h \
	src/io/conn.c src/io/conn.h src/io/conn_pump.h src/io/conn_read.c src/io/conn_write.c \
	src/io/deadline.c src/io/deadline.h \
	src/io/digest.c src/io/digest.h \
	src/io/dns.c src/io/dns.h src/io/dns_channel.c src/io/dns_channel.h \
	src/io/dns_lookup.c src/io/dns_lookup.h src/io/dns_records.c src/io/dns_records.h \
	src/io/dns_srv.c src/io/dns_srv.h \
	src/io/http_channel.c src/io/http_channel.h src/io/http_client.c src/io/http_client.h \
	src/io/http_trouble.c src/io/http_trouble.h \
	src/io/listener.c src/io/listener.h \
	src/io/loop.c src/io/loop.h \
	src/io/mailbox.c src/io/mailbox.h \
	src/io/proxy_protocol.c src/io/proxy_protocol.h \
	src/io/redis_conn.c src/io/redis_conn.h src/io/redis_map.c src/io/redis_map.h \
	src/io/redis_reply.c src/io/redis_reply.h src/io/redis_slots.c src/io/redis_slots.h \
	src/io/resolve.c src/io/resolve.h
