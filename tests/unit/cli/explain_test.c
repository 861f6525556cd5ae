/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of `wharfgate explain`: from the gateway's JSON to what a person sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cli/cells.h"
#include "cli/explain_view.h"

/* free() it. */
static char *render(const char *text, bool has_color)
{
    struct buffer to = BUFFER_INIT;
    json_t       *root = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    explain_view_put(&to, root, has_color);
    json_decref(root);
    return buffer_detach(&to);
}

static void shows(const char *text, const char *expected)
{
    char *shown = render(text, false);
    assert_string_equal(shown, expected);
    free(shown);
}

static void a_request_and_its_way(void **state)
{
    (void)state;
    shows("{\"request\":{\"method\":\"GET\",\"scheme\":\"https\",\"host\":\"h\",\"path\":\"/a\","
          "\"query\":\"b=1\"},\"listener\":{\"name\":\"https\",\"why\":\"port 443, with TLS\","
          "\"also\":[\"second\"]},\"route\":{\"name\":\"api\",\"why\":\"host h\",\"at\":\"g:3\"},"
          "\"others\":[{\"name\":\"long-name\",\"why\":\"one\"},{\"name\":\"b\",\"why\":\"two\"}],"
          "\"left_out\":3,\"filters\":[{\"name\":\"rate_limit\",\"detail\":\"api: 10/s\"},"
          "{\"name\":\"auth\",\"detail\":null}],\"origin\":null,\"upstream\":{\"name\":\"u\","
          "\"balance\":\"random\",\"endpoints\":[{\"address\":\"10.0.0.7:80\",\"state\":\"ready\","
          "\"reason\":null},{\"address\":\"10.0.0.10:80\",\"state\":\"unhealthy\","
          "\"reason\":\"503\",\"backup\":true}],\"choice\":{\"endpoint\":\"10.0.0.7:80\","
          "\"why\":\"the only one\"}}}",
          "GET https://h/a?b=1\n"
          "listener  https: port 443, with TLS; as well: second\n"
          "route     api: host h\n"
          "          g:3\n"
          "filters   rate_limit: api: 10/s\n"
          "          auth\n"
          "upstream  u, by random\n"
          "          10.0.0.7:80   ready\n"
          "          10.0.0.10:80  unhealthy: 503 (backup)\n"
          "goes to   10.0.0.7:80: the only one\n"
          "\n"
          "Why not another route:\n"
          "  long-name  one\n"
          "  b          two\n"
          "  and 3 more\n");
}

static void no_route(void **state)
{
    (void)state;
    shows("{\"request\":{\"method\":\"GET\",\"scheme\":\"http\",\"host\":\"h\",\"path\":\"/\"},"
          "\"listener\":null,\"route\":null,\"others\":[]}",
          "GET http://h/\n"
          "listener  none\n"
          "route     none: the answer is 404\n");
}

static void an_origin_of_our_own(void **state)
{
    (void)state;
    shows("{\"request\":{\"method\":\"GET\",\"scheme\":\"http\",\"host\":\"h\",\"path\":\"/\"},"
          "\"listener\":{\"name\":\"http\"},\"route\":{\"name\":\"old\"},"
          "\"origin\":\"redirect\",\"detail\":\"308 to /new\",\"upstream\":null}",
          "GET http://h/\n"
          "listener  http\n"
          "route     old\n"
          "answer    redirect: 308 to /new\n");
}

static void a_container(void **state)
{
    (void)state;
    shows("{\"container\":{\"name\":\"web-1\",\"id\":\"0123456789abcdef\",\"state\":\"running\","
          "\"health\":\"healthy\",\"networks\":[{\"name\":\"a\",\"address\":\"10.0.0.1\"},"
          "{\"name\":\"b\",\"address\":null}],\"ports\":[80,443],\"labels\":[{\"name\":"
          "\"wharfgate.port\",\"value\":\"80\",\"meaning\":\"port inside\"}],\"misspelt\":["
          "{\"name\":\"wharfgate.prot\",\"meant\":\"wharfgate.port\"},{\"name\":\"wharfgate.zzz\","
          "\"meant\":null}],\"cut\":false},\"upstreams\":[{\"name\":\"web\",\"member\":true,"
          "\"state\":\"ready\",\"address\":\"10.0.0.1:80\",\"network\":\"a\",\"network_why\":"
          "\"the only one\",\"port\":80,\"port_why\":\"label wharfgate.port\"},{\"name\":\"other\","
          "\"member\":false,\"reason\":\"it has no label\"}],\"trouble\":\"away\"}",
          "container web-1 0123456789ab: running, healthy\n"
          "networks  a 10.0.0.1, b\n"
          "ports     80, 443\n"
          "labels    wharfgate.port=80: port inside\n"
          "unknown   wharfgate.prot: did you mean wharfgate.port?\n"
          "unknown   wharfgate.zzz: there is no such label\n"
          "\n"
          "upstream  web: ready, at 10.0.0.1:80\n"
          "  network a: the only one\n"
          "  port    80: label wharfgate.port\n"
          "upstream  other: no replica of it: it has no label\n"
          "docker    away\n");
}

static void strangers_texts_are_escaped(void **state)
{
    (void)state;
    char *shown =
        render("{\"container\":{\"name\":\"\\u001b[2J\",\"state\":\"\\u009b1m\",\"labels\":["
               "{\"name\":\"wharfgate.\\n\",\"value\":\"\\u202e\"}]},\"upstreams\":["
               "{\"name\":\"\\u0007\",\"member\":true,\"state\":\"\\r\"}]}",
               false);
    for (const char *c = shown; *c; c++)
        assert_true(*c == '\n' || ((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f));
    assert_non_null(strstr(shown, "\\x1b[2J"));
    assert_non_null(strstr(shown, "wharfgate.\\n=\\u202e"));
    free(shown);
}

static void colours_only_where_they_are_wanted(void **state)
{
    static const char text[] = "{\"request\":{\"method\":\"GET\"},\"route\":null}";
    (void)state;
    char *plain = render(text, false), *colored = render(text, true);
    assert_null(strchr(plain, '\033'));
    assert_non_null(strstr(colored, "\033[31mnone: the answer is 404\033[0m"));
    free(plain);
    free(colored);
}

static void anything_may_be_missing(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"container\":{}}",
        "{\"container\":{\"labels\":3,\"ports\":[\"x\"]},\"upstreams\":[1,{\"member\":true}]}",
        "{\"request\":7,\"listener\":\"x\",\"route\":[],\"others\":[null],\"filters\":{}}",
        "{\"upstream\":{\"endpoints\":[1],\"choice\":\"x\"},\"left_out\":\"x\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) free(render(texts[i], true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_way),
        cmocka_unit_test(no_route),
        cmocka_unit_test(an_origin_of_our_own),
        cmocka_unit_test(a_container),
        cmocka_unit_test(strangers_texts_are_escaped),
        cmocka_unit_test(colours_only_where_they_are_wanted),
        cmocka_unit_test(anything_may_be_missing),
    };
    cells_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
