# SPDX-License-Identifier: Apache-2.0
#
# make check runs it as it is: a small fleet. docs/scaling.md has large ones.
check_PROGRAMS += tests/sim/fleet
tests_sim_fleet_SOURCES = tests/sim/fleet.c tests/sim/bucket.h tests/sim/zipf.h
tests_sim_fleet_LDADD = $(LDADD) -lm
