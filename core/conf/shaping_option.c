/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Order of the rows = order of the enum and of every output. A row with a key has the key's range and
 * default: a rule only says it for fewer.
 */
#include "core/conf/shaping_option.h"
#include "core/base/must.h"
#include "core/conf/value.h"

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define NAME(text) .name = SLICE_INIT(text)
#define KEY(path) .key = path
#define COUNT(lo, hi, value) .kind = CONF_SHAPING_COUNT, .min = lo, .max = hi, .fallback = value
#define RATE .kind = CONF_SHAPING_RATE
#define BYTES_RATE .kind = CONF_SHAPING_BYTES_RATE
#define DURATION(lo, hi, value)                                                                    \
    .kind = CONF_SHAPING_DURATION, .min = lo, .max = hi, .fallback = value
#define TO_SITES                                                                                   \
    (1u << CONF_SHAPING_DEFAULT | 1u << CONF_SHAPING_PROVIDER | 1u << CONF_SHAPING_DOMAIN)
#define OF_SOURCES (1u << CONF_SHAPING_SOURCE)
#define OF_SENDERS (1u << CONF_SHAPING_TENANT | 1u << CONF_SHAPING_CAMPAIGN)
#define IN(where) .scopes = (where)
#define DOC(text) .doc = text

const struct conf_shaping_row conf_shaping_rows[CONF_SHAPING_OPTIONS] = {
    [CONF_SHAPING_CONNECTIONS] = {NAME("connections"), .kind = CONF_SHAPING_COUNT,
                                  KEY("delivery.connections_per_site"), IN(TO_SITES | OF_SOURCES),
                                  DOC("Open connections.")},
    [CONF_SHAPING_CONNECTION_RATE] = {NAME("connection_rate"), RATE, IN(TO_SITES | OF_SOURCES),
                                      DOC("New connections.")},
    [CONF_SHAPING_MESSAGE_RATE] = {NAME("message_rate"), RATE,
                                   IN(TO_SITES | OF_SOURCES | OF_SENDERS),
                                   DOC("Transactions: a message once per MAIL command.")},
    [CONF_SHAPING_BYTE_RATE] =
        {NAME("byte_rate"), BYTES_RATE, IN(TO_SITES | OF_SOURCES | OF_SENDERS),
         DOC("Bytes of messages. A message larger than the burst goes when all "
             "of the burst is there and is paid for afterwards.")},
    [CONF_SHAPING_MESSAGES_PER_CONNECTION] = {NAME("messages_per_connection"),
                                              .kind = CONF_SHAPING_COUNT,
                                              KEY("delivery.messages_per_connection"), IN(TO_SITES),
                                              DOC("Messages after which a connection is renewed.")},
    [CONF_SHAPING_RECIPIENTS_PER_TRANSACTION] = {NAME("recipients_per_transaction"),
                                                 .kind = CONF_SHAPING_COUNT,
                                                 KEY("delivery.recipients_per_transaction"),
                                                 IN(TO_SITES),
                                                 DOC("Recipients of one message sent in one "
                                                     "transaction.")},
    [CONF_SHAPING_CHUNKING_WINDOW] =
        {NAME("chunking_window"), .kind = CONF_SHAPING_COUNT, KEY("delivery.chunking_window"),
         IN(TO_SITES),
         DOC("How many may be under way on one connection at once where "
             "CHUNKING and PIPELINING are offered; 1: each waits for "
             "the answer to the one before.")},
    [CONF_SHAPING_TLS] = {NAME("tls"), .kind = CONF_SHAPING_WORD, KEY("delivery.tls"),
                          .relay_key = "relay.tls", IN(TO_SITES),
                          DOC("TLS policy, as the key of the same name.")},
    [CONF_SHAPING_IDLE_TIMEOUT] = {NAME("idle_timeout"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.idle_timeout"), IN(TO_SITES),
                                   DOC("How long a connection without work is kept.")},
    [CONF_SHAPING_CONNECT_TIMEOUT] = {NAME("timeouts.connect"), .kind = CONF_SHAPING_DURATION,
                                      KEY("delivery.connect_timeout"), IN(TO_SITES),
                                      DOC("Longest wait for a TCP connection.")},
    [CONF_SHAPING_GREETING_TIMEOUT] = {NAME("timeouts.greeting"), .kind = CONF_SHAPING_DURATION,
                                       KEY("delivery.greeting_timeout"), IN(TO_SITES),
                                       DOC("Wait for the 220 greeting.")},
    [CONF_SHAPING_EHLO_TIMEOUT] = {NAME("timeouts.ehlo"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.ehlo_timeout"), IN(TO_SITES),
                                   DOC("Wait for the answer to EHLO, HELO, RSET or QUIT.")},
    [CONF_SHAPING_MAIL_TIMEOUT] = {NAME("timeouts.mail"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.mail_timeout"), IN(TO_SITES),
                                   DOC("Wait for the answer to MAIL.")},
    [CONF_SHAPING_RCPT_TIMEOUT] = {NAME("timeouts.rcpt"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.rcpt_timeout"), IN(TO_SITES),
                                   DOC("Wait for the answer to RCPT.")},
    [CONF_SHAPING_DATA_TIMEOUT] = {NAME("timeouts.data"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.data_timeout"), IN(TO_SITES),
                                   DOC("Wait for the 354 after DATA.")},
    [CONF_SHAPING_BODY_TIMEOUT] = {NAME("timeouts.body"), .kind = CONF_SHAPING_DURATION,
                                   KEY("delivery.body_timeout"), IN(TO_SITES),
                                   DOC("Longest time in which the peer takes no byte.")},
    [CONF_SHAPING_DATA_DONE_TIMEOUT] = {NAME("timeouts.data_done"), .kind = CONF_SHAPING_DURATION,
                                        KEY("delivery.data_done_timeout"), IN(TO_SITES),
                                        DOC("Wait for the answer to the end of the message.")},
    [CONF_SHAPING_BACK_OFF_FAILURES] = {NAME("back_off.failures"), COUNT(1, 1000, 2), IN(TO_SITES),
                                        DOC("Failures to connect in a row after which the site "
                                            "pauses.")},
    [CONF_SHAPING_BACK_OFF_FIRST] = {NAME("back_off.first"), DURATION(10, 1 * HOUR, 250),
                                     IN(TO_SITES), DOC("The first pause; it doubles each time.")},
    [CONF_SHAPING_BACK_OFF_MAX] = {NAME("back_off.max"), DURATION(10, 1 * DAY, 30 * SECOND),
                                   IN(TO_SITES), DOC("The longest pause.")},
    [CONF_SHAPING_RAMP_UP_FIRST] = {NAME("ramp_up.first"), COUNT(0, 10000, 0), IN(TO_SITES),
                                    .unit = "connections",
                                    DOC("How many a site begins with after a rest; 0: as many as "
                                        "there is work for, at once.")},
    [CONF_SHAPING_RAMP_UP_STEP] =
        {NAME("ramp_up.step"), COUNT(1, 10000, 1), IN(TO_SITES), .unit = "connections",
         DOC("So many more after each interval. A rest is an interval without any connection.")},
    [CONF_SHAPING_RAMP_UP_INTERVAL] = {NAME("ramp_up.interval"),
                                       DURATION(100, 1 * HOUR, 10 * SECOND), IN(TO_SITES),
                                       DOC("How long each step is kept.")},
    [CONF_SHAPING_WEIGHT] = {NAME("weight"), COUNT(1, 1000, 1), IN(OF_SENDERS),
                             DOC("Share of a destination beside others that wait for it.")},
};

const struct slice conf_shaping_scope_names[CONF_SHAPING_SCOPES] = {
    [CONF_SHAPING_DEFAULT] = SLICE_INIT("default"),
    [CONF_SHAPING_PROVIDER] = SLICE_INIT("providers"),
    [CONF_SHAPING_DOMAIN] = SLICE_INIT("domains"),
    [CONF_SHAPING_SOURCE] = SLICE_INIT("sources"),
    [CONF_SHAPING_TENANT] = SLICE_INIT("tenants"),
    [CONF_SHAPING_CAMPAIGN] = SLICE_INIT("campaigns"),
};

const struct slice conf_shaping_match_names[CONF_SHAPING_MATCHES] = {
    [CONF_SHAPING_MX_SUFFIX] = SLICE_INIT("mx_suffix"),
    [CONF_SHAPING_MX_HOST] = SLICE_INIT("mx_host"),
    [CONF_SHAPING_DOMAIN_NAME] = SLICE_INIT("domain"),
    [CONF_SHAPING_DOMAIN_SUFFIX] = SLICE_INIT("domain_suffix"),
};

static const struct conf_key *key_of(const char *path)
{
    const struct conf_key *key = conf_table_key(&conf_table, slice_str(path));
    must(key != NULL);
    return key;
}

struct conf_key conf_shaping_key(enum conf_shaping_option o)
{
    static const enum conf_type types[] = {
        [CONF_SHAPING_COUNT] = CONF_COUNT,
        [CONF_SHAPING_DURATION] = CONF_DURATION,
        [CONF_SHAPING_WORD] = CONF_ENUM,
    };
    const struct conf_shaping_row *row = &conf_shaping_rows[o];
    must(!conf_shaping_is_rate(o));
    struct conf_key key = {.path = row->name,
                           .type = types[row->kind],
                           .min = row->min,
                           .max = row->max,
                           .unit = row->unit,
                           .choices = row->choices};
    if (row->key) {
        const struct conf_key *base = key_of(row->key);
        must(base->type == key.type && base->shape == CONF_ONE);
        key.min = base->min;
        key.max = base->max;
        key.choices = base->choices;
    }
    return key;
}

struct conf_shaping_value conf_shaping_default(const struct conf *conf, enum conf_shaping_option o,
                                               bool relay, const char **key)
{
    const struct conf_shaping_row *row = &conf_shaping_rows[o];
    struct conf_shaping_value v = {.number = row->fallback};
    *key = relay && row->relay_key ? row->relay_key : row->key;
    if (*key) {
        const struct conf_key *k = key_of(*key);
        union conf_value from;
        conf_value_load(k, (const char *)conf + k->offset, k->size, &from);
        v.number = from.number;
    }
    return v;
}

const struct conf_shaping_setting *conf_shaping_find(const struct conf_shaping_rule *rule,
                                                     enum conf_shaping_option option)
{
    for (size_t i = 0; i < rule->count; i++) {
        if (rule->settings[i].option == option) {
            return &rule->settings[i];
        }
    }
    return NULL;
}

struct slice conf_shaping_option_group(const struct conf_shaping_row *row)
{
    int dot = slice_find_byte(row->name, '.');
    return slice_first(row->name, dot < 0 ? 0 : (size_t)dot);
}

struct slice conf_shaping_option_leaf(const struct conf_shaping_row *row)
{
    size_t group = conf_shaping_option_group(row).len;
    return slice_skip(row->name, group ? group + 1 : 0);
}
