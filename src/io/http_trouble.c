/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's failures in words. See http_trouble.h.
 */
#include "io/http_trouble.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 256 };

/* One line, as the middle of a sentence: "Permission denied" is "permission denied", "TLS"
 * stays as it is. */
static void put_words(char to[WORDS_MAX], const char *text)
{
    snprintf(to, WORDS_MAX, "%s", text);
    if (isupper((unsigned char)to[0]) && islower((unsigned char)to[1]))
        to[0] = (char)tolower((unsigned char)to[0]);
    for (char *c = to; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = ' ';
}

static void put_time(char to[WORDS_MAX], uint64_t ms)
{
    if (ms % 1000)
        snprintf(to, WORDS_MAX, "%llums", (unsigned long long)ms);
    else
        snprintf(to, WORDS_MAX, "%llus", (unsigned long long)ms / 1000);
}

static bool was_connected(const struct http_trouble *t)
{
    curl_off_t at = 0;
    return curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &at) == CURLE_OK && at > 0;
}

static void tell_timeout(const struct http_trouble *t, struct error *e)
{
    char     time[WORDS_MAX];
    bool     is_open = was_connected(t);
    uint64_t ms = t->total_ms;
    if (!is_open && t->connect_ms && (!ms || t->connect_ms < ms)) ms = t->connect_ms;
    put_time(time, ms);
    if (!is_open)
        error_set(e, "cannot connect to %s within %s", t->place, time);
    else
        error_set(e, "no %sanswer within %s", t->has_head ? "whole " : "", time);
}

static void tell_refusal(const struct http_trouble *t, struct error *e)
{
    char words[WORDS_MAX];
    long os_error = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_error);
    put_words(words, os_error ? strerror((int)os_error) : t->text);
    error_set(e, "cannot connect to %s: %s", t->place, words);
}

/* OpenSSL's reason is the last part of "error:0A00045C:SSL routines::the reason, errno 0". */
static void put_tls_reason(char to[WORDS_MAX], const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *reason = colon && strstr(text, "error:") ? colon + 1 : text;
    put_words(to, reason + strspn(reason, " "));
    char *end = strstr(to, ", errno ");
    if (end) *end = '\0';
}

static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : text;
}

static void tell_tls(const struct http_trouble *t, struct error *e)
{
    char words[WORDS_MAX];
    if (t->code != CURLE_PEER_FAILED_VERIFICATION) {
        put_tls_reason(words, t->text);
        error_set(e, "cannot connect to %s: TLS: %s", t->place, words);
        return;
    }
    const char *reason = after(t->text, "SSL certificate problem: ");
    put_words(words, after(reason, "SSL: "));
    error_set(e, "cannot connect to %s: its certificate is not accepted: %s", t->place, words);
}

/* The reset that follows a refusal may overtake it. */
static void tell_silent_break(const struct http_trouble *t, struct error *e)
{
    static const char what[] = "the connection broke off before there was an answer";
    if (t->ca && t->cert)
        error_set(e, "%s: is the certificate in %s one that it accepts?", what, t->cert);
    else if (t->ca)
        error_set(e, "%s: does it want a certificate?", what);
    else
        error_set(e, "%s", what);
}

/* With TLS 1.3 the server's refusal of our certificate comes as an answer to the request. */
static void tell_break(const struct http_trouble *t, struct error *e)
{
    char words[WORDS_MAX];
    if (strstr(t->text, "alert")) {
        put_tls_reason(words, t->text);
        error_set(e, "the server broke off: TLS: %s", words);
    } else if (strstr(t->text, "chunk")) {
        put_words(words, t->text);
        error_set(e, "the answer is not HTTP: %s", words);
    } else if (t->has_head) {
        error_set(e, "the connection broke off");
    } else {
        tell_silent_break(t, e);
    }
}

/* libcurl names some of the files in some of its texts. */
static void tell_files(const struct http_trouble *t, struct error *e)
{
    const char *const files[] = { t->ca, t->cert, t->key };
    char              words[WORDS_MAX];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (!files[i] || faccessat(AT_FDCWD, files[i], R_OK, AT_EACCESS) == 0) continue;
        put_words(words, strerror(errno));
        error_set(e, "cannot read %s: %s", files[i], words);
        return;
    }
    put_tls_reason(words, t->text);
    if (t->code == CURLE_SSL_CERTPROBLEM)
        error_set(e, "the client certificate in %s with the key in %s is of no use: %s",
                  t->cert ? t->cert : "no file", t->key ? t->key : "no file", words);
    else if (t->ca)
        error_set(e, "there is no certificate of an authority in %s", t->ca);
    else
        error_set(e, "this system has no authorities to trust (package ca-certificates), and no "
                     "`ca` names one");
}

static void tell_unknown_name(const struct http_trouble *t, struct error *e)
{
    error_set(e, "cannot connect to %s: %s", t->place,
              t->is_unix ? "the path is too long" : "the name cannot be resolved");
}

void http_trouble_tell(const struct http_trouble *t, struct error *e)
{
    char words[WORDS_MAX];
    put_words(words, *t->text ? t->text : curl_easy_strerror(t->code));
    switch (t->code) {
    case CURLE_OPERATION_TIMEDOUT: tell_timeout(t, e); break;
    case CURLE_COULDNT_CONNECT: tell_refusal(t, e); break;
    case CURLE_COULDNT_RESOLVE_HOST: tell_unknown_name(t, e); break;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: tell_break(t, e); break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR: tell_tls(t, e); break;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE: tell_files(t, e); break;
    /* So libcurl says of a line beyond its limit; newer ones say CURLE_TOO_LARGE. */
    case CURLE_OUT_OF_MEMORY: error_set(e, "a line of the answer's head is too long"); break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: error_set(e, "the answer is not HTTP: %s", words); break;
    default: error_set(e, "%s", words);
    }
}
