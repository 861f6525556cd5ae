# SPDX-License-Identifier: Apache-2.0
#
# One target a parser: tests/fuzz/NAME_fuzz.c with LLVMFuzzerTestOneInput and its
# corpus in tests/fuzz/corpus/NAME/. Append one line for each:
#
#     FUZZ_TARGETS += NAME
#
# `make check` replays every corpus. Without --enable-fuzz the programs are
# ordinary ones whose main() is replay.c; with it they are libFuzzer's.
FUZZ_TARGETS =
FUZZ_TARGETS += h1_request
FUZZ_TARGETS += h1_response
FUZZ_TARGETS += h2_client
FUZZ_TARGETS += h2_server
FUZZ_TARGETS += accept_encoding
FUZZ_TARGETS += uri
FUZZ_TARGETS += target
FUZZ_TARGETS += yaml
FUZZ_TARGETS += proxy_protocol
FUZZ_TARGETS += dns_srv
FUZZ_TARGETS += docker_json
FUZZ_TARGETS += redis_reply
FUZZ_TARGETS += websocket

# ---- how they are built ----

FUZZ_BINARIES = $(FUZZ_TARGETS:%=tests/fuzz/%_fuzz)
FUZZ_OBJECTS = $(FUZZ_BINARIES:%=%.o)
FUZZ_DRIVER = tests/fuzz/replay.o
if ENABLE_FUZZ
FUZZ_MAIN = -fsanitize=fuzzer
else
FUZZ_MAIN = $(FUZZ_DRIVER)
endif

check_DATA = $(FUZZ_BINARIES)

$(FUZZ_OBJECTS) $(FUZZ_DRIVER): tests/fuzz/%.o: tests/fuzz/%.c config.h
	@$(MKDIR_P) tests/fuzz
	$(AM_V_CC)$(COMPILE) -MMD -MP -c -o $@ $<

$(FUZZ_BINARIES): %: %.o $(FUZZ_DRIVER) src/libwharfgate.a
	$(AM_V_CCLD)$(LINK) $< $(FUZZ_MAIN) src/libwharfgate.a $(WG_LIBS) $(LIBS)

-include $(FUZZ_OBJECTS:.o=.d) $(FUZZ_DRIVER:.o=.d)

fuzz-programs: $(FUZZ_BINARIES)
.PHONY: fuzz-programs

CLEANFILES = $(FUZZ_BINARIES) $(FUZZ_OBJECTS) $(FUZZ_DRIVER) \
	$(FUZZ_OBJECTS:.o=.d) $(FUZZ_DRIVER:.o=.d)
