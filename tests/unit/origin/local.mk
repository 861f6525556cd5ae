# SPDX-License-Identifier: Apache-2.0
FAKE_EXCHANGE = tests/unit/origin/fake_exchange.c tests/unit/origin/fake_exchange.h
check_PROGRAMS += tests/unit/origin/origins_test
tests_unit_origin_origins_test_SOURCES = tests/unit/origin/origins_test.c $(FAKE_EXCHANGE)
check_PROGRAMS += tests/unit/origin/file_cache_test
tests_unit_origin_file_cache_test_SOURCES = tests/unit/origin/file_cache_test.c
check_PROGRAMS += tests/unit/origin/files_path_test
tests_unit_origin_files_path_test_SOURCES = tests/unit/origin/files_path_test.c
check_PROGRAMS += tests/unit/origin/mime_test
tests_unit_origin_mime_test_SOURCES = tests/unit/origin/mime_test.c
