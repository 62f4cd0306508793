/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One lock around two keys: a ticket is sealed or opened once per connection, and only the copy of a
 * key is made under it.
 */
#include "tls/tickets.h"

#include "core/base/must.h"
#include "core/base/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, TICKET_BYTES_MAX = 1024 };

must_static((int)NONCE_BYTES <= (int)TLS_TICKET_IV_BYTES,
            "the nonce is the first part of the ticket's iv");
must_static((int)TAG_BYTES <= (int)TLS_TICKET_MAC_BYTES,
            "the tag is the first part of the ticket's mac");

struct ticket_key {
    bool valid;
    uint8_t name[TLS_TICKET_NAME_BYTES];
    uint8_t secret[KEY_BYTES];
    size_t sealed_bytes; /* all tickets are of one size; 0: none sealed yet */
};

struct tls_tickets {
    atomic_uint references;
    unsigned period_s;
    pthread_mutex_t lock; /* of what follows */
    uint64_t born_s;
    struct ticket_key current, previous;
};

static bool make_key(struct ticket_key *key)
{
    WC_RNG rng;
    if (wc_InitRng(&rng) != 0) {
        return false;
    }
    *key = (struct ticket_key){.valid = true};
    bool ok = wc_RNG_GenerateBlock(&rng, key->name, sizeof(key->name)) == 0 &&
              wc_RNG_GenerateBlock(&rng, key->secret, sizeof(key->secret)) == 0;
    wc_FreeRng(&rng);
    return ok;
}

struct tls_tickets *tls_tickets_open(uint64_t now_s, unsigned period_s)
{
    must(period_s > 0 && period_s <= TLS_TICKET_PERIOD_MAX_S);
    struct tls_tickets *t = calloc(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    if (!make_key(&t->current)) {
        free(t);
        return NULL;
    }
    atomic_init(&t->references, 1);
    t->period_s = period_s;
    t->born_s = now_s;
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

struct tls_tickets *tls_tickets_get(struct tls_tickets *t)
{
    must(atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed) > 0);
    return t;
}

void tls_tickets_put(struct tls_tickets **t)
{
    struct tls_tickets *old = *t;
    *t = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    must(pthread_mutex_destroy(&old->lock) == 0);
    secret_wipe(old, sizeof(*old));
    free(old);
}

unsigned tls_tickets_period_s(const struct tls_tickets *t)
{
    return t->period_s;
}

bool tls_tickets_tick(struct tls_tickets *t, uint64_t now_s)
{
    struct ticket_key fresh;
    bool ok = true;
    must(pthread_mutex_lock(&t->lock) == 0);
    uint64_t age_s = now_s > t->born_s ? now_s - t->born_s : 0;
    if (age_s >= t->period_s) {
        ok = make_key(&fresh);
        if (ok) {
            t->previous = t->current;
            /* Nobody ticked for long: the last key is too old as well. */
            t->previous.valid = age_s < 2 * (uint64_t)t->period_s;
            if (!t->previous.valid) {
                secret_wipe(&t->previous, sizeof(t->previous));
            }
            t->current = fresh;
            t->born_s = now_s;
        }
        secret_wipe(&fresh, sizeof(fresh));
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
    return ok;
}

/* What is authenticated beside the text. */
static void make_aad(const struct tls_ticket *ticket,
                     uint8_t aad[TLS_TICKET_NAME_BYTES + TLS_TICKET_BINDING_BYTES])
{
    memcpy(aad, ticket->name, TLS_TICKET_NAME_BYTES);
    memcpy(aad + TLS_TICKET_NAME_BYTES, ticket->binding, TLS_TICKET_BINDING_BYTES);
}

static bool gcm(const struct ticket_key *key, struct tls_ticket *ticket, bool seal)
{
    Aes aes;
    uint8_t aad[TLS_TICKET_NAME_BYTES + TLS_TICKET_BINDING_BYTES];
    word32 len = (word32)ticket->len;
    make_aad(ticket, aad);
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0) {
        return false;
    }
    int rc = wc_AesGcmSetKey(&aes, key->secret, sizeof(key->secret));
    if (rc == 0 && seal) {
        rc = wc_AesGcmEncrypt(&aes, ticket->text, ticket->text, len, ticket->iv, NONCE_BYTES,
                              ticket->mac, TAG_BYTES, aad, sizeof(aad));
    } else if (rc == 0) {
        rc = wc_AesGcmDecrypt(&aes, ticket->text, ticket->text, len, ticket->iv, NONCE_BYTES,
                              ticket->mac, TAG_BYTES, aad, sizeof(aad));
    }
    wc_AesFree(&aes);
    return rc == 0;
}

bool tls_tickets_seal(struct tls_tickets *t, struct tls_ticket *ticket)
{
    must(ticket->len > 0 && ticket->len <= TICKET_BYTES_MAX);
    must(pthread_mutex_lock(&t->lock) == 0);
    t->current.sealed_bytes = ticket->len;
    struct ticket_key key = t->current;
    must(pthread_mutex_unlock(&t->lock) == 0);
    memcpy(ticket->name, key.name, TLS_TICKET_NAME_BYTES);
    memset(ticket->mac, 0, TLS_TICKET_MAC_BYTES);
    bool ok = gcm(&key, ticket, true);
    secret_wipe(&key, sizeof(key));
    return ok;
}

static bool is_of(const struct ticket_key *key, const struct tls_ticket *ticket)
{
    return key->valid && key->sealed_bytes == ticket->len &&
           memcmp(key->name, ticket->name, TLS_TICKET_NAME_BYTES) == 0;
}

bool tls_tickets_open_ticket(struct tls_tickets *t, struct tls_ticket *ticket)
{
    struct ticket_key key = {0};
    must(pthread_mutex_lock(&t->lock) == 0);
    if (is_of(&t->current, ticket)) {
        key = t->current;
    } else if (is_of(&t->previous, ticket)) {
        key = t->previous;
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
    bool ok = key.valid && gcm(&key, ticket, false);
    secret_wipe(&key, sizeof(key));
    return ok;
}
