/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of `wharfgate limits`: from the gateway's JSON to what a person sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cli/cells.h"
#include "cli/limits_view.h"

static void shows(const char *json, const char *expected)
{
    struct buffer to = BUFFER_INIT;
    json_t       *root = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    limits_view_put(&to, root, false);
    json_decref(root);
    char *text = buffer_detach(&to);
    assert_string_equal(text, expected);
    free(text);
}

static void rules_and_whom_they_refuse(void **state)
{
    (void)state;
    shows("{\"rate_limits\":[{\"name\":\"api\",\"key\":[\"client_ip\",\"route\"],\"rate\":\"10/s\","
          "\"burst\":20,\"store\":\"redis\",\"mode\":\"lease\",\"delay\":false,\"dry_run\":false,"
          "\"used\":true,\"admitted\":1200,\"delayed\":0,\"refused\":7,\"top\":[{\"key\":"
          "\"192.0.2.1 all\",\"refused\":5},{\"key\":\"\\u001b[31m\",\"refused\":2}]},"
          "{\"name\":\"idle\",\"key\":[\"client_ip\"],\"rate\":\"5/m\",\"burst\":0,\"store\":"
          "\"local\",\"delay\":true,\"dry_run\":true,\"used\":false}],"
          "\"concurrency_limits\":[],\"store\":null}",
          "Rate limits\n"
          "  NAME  KEY                RATE  BURST  ADMITTED  DELAYED  REFUSED  STORE\n"
          "  api   client_ip + route  10/s     20      1200        0        7  redis, lease\n"
          "      refused most of late: 192.0.2.1 all (5), \\x1b[31m (2)\n"
          "  idle  client_ip           5/m      0         -        -        -  "
          "local, delays, dry run, no route names it\n");
}

static void the_store_and_its_trouble(void **state)
{
    (void)state;
    shows("{\"rate_limits\":[],\"concurrency_limits\":[{\"name\":\"few\",\"key\":[\"client_ip\"],"
          "\"max\":3,\"dry_run\":false,\"used\":true,\"active\":1,\"admitted\":9,\"refused\":2}],"
          "\"store\":{\"mode\":\"sentinel\",\"connected\":false,\"at\":\"\",\"guide\":\"\","
          "\"trouble\":\"no Sentinel answers\",\"last_failure\":\"\",\"since_ms\":65000,"
          "\"gateways\":2,\"on_failure\":\"open\",\"calls\":3,\"late\":1,\"lost\":0,\"errors\":0,"
          "\"not_sent\":4,\"mean_reply_us\":250,\"circuits_open\":2}}",
          "Concurrency limits\n"
          "  NAME  KEY        MAX  NOW  ADMITTED  REFUSED\n"
          "  few   client_ip    3    1         9        2\n"
          "Redis\n"
          "  not found yet (sentinel), not connected for 1m; gateways: 2; on failure: open\n"
          "  calls: 3, late 1, lost 0, errors 0, not sent 4; mean 0.25ms; circuits open: 2\n"
          "  trouble: no Sentinel answers\n");
}

static void without_limits_it_says_so(void **state)
{
    (void)state;
    shows("{\"rate_limits\":[],\"concurrency_limits\":[],\"store\":null}",
          "No limits are configured.\n");
    shows("{\"rate_limits\":7,\"store\":[]}", "No limits are configured.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_and_whom_they_refuse),
        cmocka_unit_test(the_store_and_its_trouble),
        cmocka_unit_test(without_limits_it_says_so),
    };
    cells_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
