src_libwharfgate_a_SOURCES += \
	src/upstream/balance/balance.c src/upstream/balance/balance.h \
	src/upstream/balance/least_requests.c \
	src/upstream/balance/random.c \
	src/upstream/balance/round_robin.c \
	src/upstream/client.c src/upstream/client.h src/upstream/client_private.h \
	src/upstream/connection.c \
	src/upstream/endpoint.h \
	src/upstream/upstream.c src/upstream/upstream.h
