/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of one answer: collected in any order, then sorted, each address
 * and port once. Owns the names that its records point to.
 */
#pragma once

#include "io/dns.h"

struct dns_records {
    struct dns_record *items;
    size_t             count, capacity;
    char             **names;
    size_t             name_count;
};

void dns_records_reset(struct dns_records *r);
/* A copy of the name that lives as long as the records. */
const char *dns_records_name(struct dns_records *r, const char *name);
/* Beyond DNS_RECORDS_MAX they are left out. */
void dns_records_add(struct dns_records *r, const struct dns_record *record);
/* By priority, address, port; of those with the same address and port the one of the
 * lowest priority stays, of these the heaviest. */
void dns_records_sort(struct dns_records *r);
bool dns_records_eq(const struct dns_records *a, const struct dns_records *b);
