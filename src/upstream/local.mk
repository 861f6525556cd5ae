src_libwharfgate_a_SOURCES += \
	src/upstream/balance/alias.c src/upstream/balance/alias.h \
	src/upstream/balance/balance.c src/upstream/balance/balance.h \
	src/upstream/balance/least_requests.c \
	src/upstream/balance/least_time.c \
	src/upstream/balance/maglev.c \
	src/upstream/balance/random.c \
	src/upstream/balance/ring_hash.c \
	src/upstream/balance/round_robin.c \
	src/upstream/choice.c \
	src/upstream/balance/sticky.c \
	src/upstream/client.c src/upstream/client.h src/upstream/client_private.h \
	src/upstream/connection.c \
	src/upstream/endpoint.c src/upstream/endpoint.h src/upstream/endpoint_set.c \
	src/upstream/pool.c \
	src/upstream/roster.c src/upstream/roster_judge.c src/upstream/roster.h src/upstream/roster_private.h \
	src/upstream/upstream.c src/upstream/upstream.h
