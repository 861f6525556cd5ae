/* SPDX-License-Identifier: Apache-2.0
 *
 * SRV records of a DNS reply: any bytes. What is accepted is sorted and in normal
 * form; of what is refused nothing is left.
 */
#include <stdlib.h>
#include <string.h>

#include "io/dns_srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static void check_list(const struct dns_srv_list *list)
{
    require((list->ttl_s <= INT32_MAX) == (list->count > 0));
    for (size_t i = 0; i < list->count; i++) {
        const char *host = list->items[i].host;
        for (const char *c = host; *c; c++) require(*c < 'A' || *c > 'Z');
        require(!i || strcmp(list->items[i - 1].host, host) <= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_srv_list list;
    if (dns_srv_parse(&list, data, size))
        check_list(&list);
    else
        require(!list.items && !list.count);
    dns_srv_reset(&list);
    return 0;
}
