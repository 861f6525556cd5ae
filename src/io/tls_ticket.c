/* SPDX-License-Identifier: Apache-2.0
 *
 * Session tickets (RFC 5077, RFC 8446 section 4.6.1) under keys that all workers
 * share and control rotates. A ring of keys, of which the newest encrypts and it
 * and the two before decrypt. Workers read without a lock: they copy a key word by
 * word and look again whether its place in the ring has meanwhile come up for
 * reuse, which takes several rotations.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "base/random.h"
#include "io/tls_internal.h"

enum { RING = 8, GOOD_KEYS = 3, NAME_BYTES = 16, AES_BYTES = 32, MAC_BYTES = 32 };

struct ticket_key {
    unsigned char name[NAME_BYTES];
    unsigned char aes[AES_BYTES];
    unsigned char mac[MAC_BYTES];
};

enum { KEY_WORDS = sizeof(struct ticket_key) / sizeof(uint64_t) };

struct tls_ticket_keys {
    _Atomic uint32_t references;
    _Atomic uint64_t newest; /* counts rotations; its place is newest % RING */
    pthread_mutex_t  rotating;
    _Atomic uint64_t ring[RING][KEY_WORDS];
};

struct tls_ticket_keys *tls_ticket_keys_new(void)
{
    struct tls_ticket_keys *k = mem_zalloc(sizeof(*k));
    atomic_init(&k->references, 1);
    pthread_mutex_init(&k->rotating, NULL);
    /* Places that were never filled hold random keys too, not a known one. */
    for (int i = 0; i < GOOD_KEYS; i++) tls_ticket_keys_rotate(k);
    return k;
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *k)
{
    uint64_t fresh[KEY_WORDS];
    random_secret(fresh, sizeof(fresh));
    pthread_mutex_lock(&k->rotating);
    uint64_t next = atomic_load_explicit(&k->newest, memory_order_relaxed) + 1;
    for (int i = 0; i < KEY_WORDS; i++)
        atomic_store_explicit(&k->ring[next % RING][i], fresh[i], memory_order_release);
    atomic_store_explicit(&k->newest, next, memory_order_release);
    pthread_mutex_unlock(&k->rotating);
    OPENSSL_cleanse(fresh, sizeof(fresh));
}

struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *k)
{
    atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
    return k;
}

void tls_ticket_keys_free(struct tls_ticket_keys *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1) return;
    pthread_mutex_destroy(&k->rotating);
    OPENSSL_cleanse(k, sizeof(*k));
    free(k);
}

/* The key of `rotation`; false when it may be torn: its place is the next to be
 * written. Whoever reads a new word sees, by release and acquire, that `newest`
 * had come so far before. */
static bool copy_key(const struct tls_ticket_keys *k, uint64_t rotation, struct ticket_key *to)
{
    uint64_t words[KEY_WORDS];
    for (int i = 0; i < KEY_WORDS; i++)
        words[i] = atomic_load_explicit(&k->ring[rotation % RING][i], memory_order_acquire);
    memcpy(to, words, sizeof(words));
    OPENSSL_cleanse(words, sizeof(words));
    return atomic_load_explicit(&k->newest, memory_order_acquire) - rotation < RING - 1;
}

static uint64_t newest_key(const struct tls_ticket_keys *k, struct ticket_key *to)
{
    for (;;) {
        uint64_t newest = atomic_load_explicit(&k->newest, memory_order_acquire);
        if (copy_key(k, newest, to)) return newest;
    }
}

/* How old the key called `name` is (0: the newest), or -1: gone or never ours. */
static int named_key(const struct tls_ticket_keys *k, const unsigned char *name,
                     struct ticket_key *to)
{
    uint64_t newest = atomic_load_explicit(&k->newest, memory_order_acquire);
    for (int age = 0; age < GOOD_KEYS; age++)
        if (copy_key(k, newest - (uint64_t)age, to) &&
            CRYPTO_memcmp(to->name, name, NAME_BYTES) == 0)
            return age;
    return -1;
}

static bool use_key(const struct tls_server *s, const struct ticket_key *key,
                    const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    bool encrypts)
{
    char       digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
                                          MAC_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex2(cipher, s->ticket_cipher, key->aes, iv, encrypts, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Of SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 use it, 2 use it and send a new one,
 * 0 go on without, -1 fail. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypts)
{
    const struct tls_server *s = tls_of(ssl)->server;
    struct ticket_key        key;
    int                      age = 0;
    if (!s->keys) return 0;
    if (encrypts) {
        newest_key(s->keys, &key);
        memcpy(name, key.name, NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(s->ticket_cipher)) != 1) return -1;
    } else {
        age = named_key(s->keys, name, &key);
    }
    int result = age < 0 ? 0 : use_key(s, &key, iv, cipher, mac, encrypts) ? 1 : -1;
    OPENSSL_cleanse(&key, sizeof(key));
    /* TLS 1.3 clients use a ticket once (RFC 8446 appendix C.4): they need the next. */
    bool is_renewed = !encrypts && (age > 0 || SSL_version(ssl) == TLS1_3_VERSION);
    return result == 1 && is_renewed ? 2 : result;
}

void tls_ticket_enable(SSL_CTX *context)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
