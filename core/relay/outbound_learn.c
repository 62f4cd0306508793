/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a connection learns of its peer, and what it uses of what others have learned (core/policy/peers.h).
 */
#include "core/relay/outbound_private.h"

static uint64_t wall_ms(const struct outbound *o)
{
    return io_now(o->relay->io)->wall_us / 1000;
}

static struct slice peer_key(const struct outbound *o, char key[PEERS_KEY_BYTES])
{
    const struct route_candidate *c = outbound_candidate(o);
    return peers_key(key, c->host, c->endpoint.port);
}

static struct peers *table_of(const struct outbound *o)
{
    return &o->relay->queue->peers.table;
}

/* What the peer said; without a word of it how the connection ended. */
static struct peers_witness outbound_witness(const struct outbound *o, char text[IP_TEXT_MAX])
{
    struct slice lesson = smtp_client_lesson(&o->smtp);
    const struct ip_endpoint *at = &outbound_candidate(o)->endpoint;
    return (struct peers_witness){
        .address = slice_str(ip_addr_text(&at->addr, text)),
        .reply = lesson.len ? lesson : smtp_client_outcome(&o->smtp)->text,
    };
}

static void outbound_log_learned(struct outbound *o, struct slice what, uint64_t count)
{
    struct obs_log *log = o->relay->log;
    if (obs_begin(log, OBS_OUTBOUND_LEARNED, io_now(o->relay->io)->wall_us)) {
        obs_u64(log, OBS_F_SESSION, o->id);
        obs_str(log, OBS_F_SITE, o->site->key);
        obs_str(log, OBS_F_PEER_NAME, outbound_candidate(o)->host);
        obs_str(log, OBS_F_REASON, what);
        if (count) {
            obs_u64(log, OBS_F_COUNT, count);
        }
        obs_end(log, io_now(o->relay->io)->mono_ms);
    }
}

void outbound_learn_open(struct outbound *o, struct smtp_client_config *config)
{
    char key[PEERS_KEY_BYTES];
    struct peers_facts f = peers_look(table_of(o), peer_key(o, key), wall_ms(o));
    uint64_t window = route_plan_number(o->plan, CONF_SHAPING_CHUNKING_WINDOW);
    config->chunk_window = (uint8_t)(window < SMTP_CLIENT_WINDOW_MAX ? window
                                                                     : SMTP_CLIENT_WINDOW_MAX);
    config->careful = !f.bears_overlap;
    switch (f.level) {
    case PEERS_STEPWISE:
        config->pipelining = false;
        config->window = 1;
        config->chunking = false;
        break;
    case PEERS_PIPELINED:
        config->chunking = false;
        break;
    case PEERS_OVERLAPPED:
        break;
    }
    o->messages_max = f.messages_max;
    o->praised = f.bears_overlap;
}

uint64_t outbound_learned_idle_ms(const struct outbound *o)
{
    char key[PEERS_KEY_BYTES];
    return peers_look(table_of(o), peer_key(o, key), wall_ms(o)).idle_max_ms;
}

void outbound_learn_served(struct outbound *o)
{
    char key[PEERS_KEY_BYTES];
    if (!o->praised && smtp_client_proven(&o->smtp) == SMTP_MODE_OVERLAPPED) {
        o->praised = true;
        peers_praise(table_of(o), peer_key(o, key));
    }
}

/* It closed a connection that waited for work. */
static void outbound_learn_idle(struct outbound *o, struct slice key,
                                const struct peers_witness *witness)
{
    uint64_t idle_ms = outbound_now(o) - o->idle_since_ms;
    uint64_t known_ms = outbound_learned_idle_ms(o);
    if (idle_ms < known_ms && peers_learn_idle(table_of(o), key, idle_ms, witness, wall_ms(o))) {
        outbound_log_learned(o, SLICE("it closes idle connections (milliseconds)"), idle_ms);
    }
}

/* As what the peer was spoken to: of a mode it does not offer nothing is learned. */
static enum peers_level outbound_level(const struct outbound *o, enum smtp_client_trouble trouble,
                                       enum smtp_client_mode mode)
{
    bool bdat = o->smtp.config.chunking && o->smtp.caps.chunking;
    if (trouble == SMTP_TROUBLE_PIPELINE && mode == SMTP_MODE_PIPELINED) {
        return PEERS_PIPELINED; /* it leaves no doubt: not even that */
    }
    return bdat ? PEERS_OVERLAPPED : PEERS_PIPELINED;
}

bool outbound_learn_closed(struct outbound *o)
{
    static const uint8_t reasons[] = {
        [SMTP_TROUBLE_NONE] = PEERS_NOTHING, [SMTP_TROUBLE_REPLIES] = PEERS_REPLIES,
        [SMTP_TROUBLE_BDAT] = PEERS_BDAT,    [SMTP_TROUBLE_PIPELINE] = PEERS_PIPELINE,
        [SMTP_TROUBLE_LOST] = PEERS_LOST,    [SMTP_TROUBLE_SILENT] = PEERS_SILENT,
    };
    char text[PEERS_KEY_BYTES];
    struct slice key = peer_key(o, text);
    enum smtp_client_mode mode;
    enum smtp_client_trouble trouble = smtp_client_trouble(&o->smtp, &mode);
    uint32_t full = smtp_client_full(&o->smtp);
    char address[IP_TEXT_MAX];
    struct peers_witness witness = outbound_witness(o, address);
    if (full) {
        peers_learn_messages(table_of(o), key, full, &witness, wall_ms(o));
        outbound_log_learned(o, SLICE("it takes so many messages on one connection"), full);
    }
    if (o->state == OUTBOUND_IDLE) {
        outbound_learn_idle(o, key, &witness);
    }
    if (trouble == SMTP_TROUBLE_NONE) {
        return false;
    }
    struct peers_fault fault = {.used = outbound_level(o, trouble, mode),
                                .reason = (enum peers_reason)reasons[trouble],
                                .proven = smtp_client_proven(&o->smtp) >= mode,
                                .witness = witness};
    if (!peers_blame(table_of(o), key, &fault, wall_ms(o))) {
        return false;
    }
    outbound_log_learned(o, peers_reason_name(fault.reason), 0);
    return trouble != SMTP_TROUBLE_LOST && trouble != SMTP_TROUBLE_SILENT;
}

bool outbound_is_blameless(const struct outbound *o, const struct outbound_tx *t)
{
    enum smtp_client_mode mode;
    return t->txn.again && smtp_client_trouble(&o->smtp, &mode) == SMTP_TROUBLE_NONE;
}
