/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The type table stands at the end of the file: reading, printing and the words for it, per type.
 * Names and addresses are in value_names.c, what several types share in the first section.
 */
#include "core/conf/value.h"
#include "core/base/must.h"
#include "core/base/units.h"
#include "core/conf/egress.h"
#include "core/conf/report.h"
#include "core/conf/value_names.h"
#include "core/conf/warmup.h"

void conf_value_show(struct buf *out, struct slice text)
{
    struct slice digits = text.len && text.ptr[0] == '-' ? slice_skip(text, 1) : text;
    bool bare = digits.len > 0 && digits.len <= 40 && ascii_is_digit(digits.ptr[0]);
    for (size_t i = 0; i < digits.len && bare; i++) {
        char c = digits.ptr[i];
        bare = ascii_is_digit(c) || ascii_is_alpha(c) || c == '.';
    }
    if (bare) {
        buf_add(out, text);
        return;
    }
    buf_add_byte(out, '"');
    conf_report_escape(out, text);
    buf_add_byte(out, '"');
}

static void number_add(struct buf *out, const struct conf_key *key, uint64_t v)
{
    if (key->type == CONF_DURATION) {
        units_add_duration(out, v);
    } else if (key->type == CONF_SIZE) {
        units_add_size(out, v);
    } else {
        buf_add_u64(out, v);
    }
}

void conf_range_add(struct buf *out, const struct conf_key *key)
{
    if (!conf_type_is_number(key->type) && key->type != CONF_DURATION && key->type != CONF_SIZE) {
        return;
    }
    bool zero = (key->flags & CONF_ZERO_OFF) != 0;
    bool joined = zero && key->min == 1;
    buf_add(out, zero && !joined ? SLICE("0 or ") : SLICE(""));
    number_add(out, key, joined ? 0 : key->min);
    buf_add(out, SLICE("–"));
    number_add(out, key, key->max);
    if (key->flags & CONF_POWER_OF_2) {
        buf_add(out, SLICE(", a power of two"));
    }
    if (key->flags & CONF_MULTIPLE_1M) {
        buf_add(out, SLICE(", a multiple of 1MiB"));
    }
}

void conf_choices_add(struct buf *out, const char *choices)
{
    struct slice rest = slice_str(choices);
    while (rest.len) {
        buf_add(out, slice_cut(&rest, '|'));
        if (rest.len) {
            buf_add(out, SLICE(", "));
        }
    }
}

/* `"abc" is not a number (1–65535)` */
static bool refuse_range(const struct conf_key *key, struct slice text, const char *what,
                         struct buf *why)
{
    conf_value_show(why, text);
    buf_addf(why, " %s (", what);
    conf_range_add(why, key);
    buf_add_byte(why, ')');
    return false;
}

static bool number_check(const struct conf_key *key, struct slice text, uint64_t v, struct buf *why)
{
    bool off = v == 0 && (key->flags & CONF_ZERO_OFF);
    if (off) {
        return true;
    }
    if (v < key->min || v > key->max) {
        return refuse_range(key, text, key->type == CONF_PORT ? "is not a port" : "is out of range",
                            why);
    }
    if ((key->flags & CONF_POWER_OF_2) && (v & (v - 1)) != 0) {
        return refuse_range(key, text, "is not a power of two", why);
    }
    if ((key->flags & CONF_MULTIPLE_1M) && v % (1024 * 1024) != 0) {
        return refuse_range(key, text, "is not a multiple of 1MiB", why);
    }
    return true;
}

static bool all_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

/* ---- types --------------------------------------------------------------------------------- */

static bool bool_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why)
{
    (void)key;
    bool yes = slice_eq(text, SLICE("true"));
    if (!yes && !slice_eq(text, SLICE("false"))) {
        conf_value_show(why, text);
        buf_add(why, SLICE(" is not true or false"));
        return false;
    }
    out->number = yes;
    return true;
}

static void bool_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    buf_add(out, v->number ? SLICE("true") : SLICE("false"));
}

static bool count_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                        struct buf *why)
{
    uint64_t v;
    bool percent = key->unit && slice_eq(slice_str(key->unit), SLICE("percent"));
    if (percent && text.len > 1 && text.ptr[text.len - 1] == '%') {
        text.len--;
    }
    if (!slice_to_u64(text, &v)) {
        /* Digits that overflow are a number all the same. */
        const char *what = key->type == CONF_PORT ? "is not a port"
                           : all_digits(text)     ? "is out of range"
                                                  : "is not a whole number";
        return refuse_range(key, text, what, why);
    }
    if (!number_check(key, text, v, why)) {
        return false;
    }
    out->number = v;
    return true;
}

static void number_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    number_add(out, key, v->number);
}

static bool duration_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                           struct buf *why)
{
    uint64_t v;
    if (!units_parse_duration(text, &v)) {
        conf_value_show(why, text);
        buf_add(why, all_digits(text) ? SLICE(" has no unit") : SLICE(" is not a duration"));
        buf_add(why, SLICE(", write for example 250ms, 30s, 1m30s, 4h, 5d ("));
        conf_range_add(why, key);
        buf_add_byte(why, ')');
        return false;
    }
    if (!number_check(key, text, v, why)) {
        return false;
    }
    out->number = v;
    return true;
}

static bool size_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why)
{
    uint64_t v;
    if (!units_parse_size(text, &v)) {
        conf_value_show(why, text);
        buf_add(why, SLICE(" is not a size, write for example 65536, 64KiB, 25MB, 1GiB ("));
        conf_range_add(why, key);
        buf_add_byte(why, ')');
        return false;
    }
    if (!number_check(key, text, v, why)) {
        return false;
    }
    out->number = v;
    return true;
}

static bool enum_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why)
{
    struct slice rest = slice_str(key->choices);
    for (uint64_t i = 0; rest.len; i++) {
        if (slice_eq(slice_cut(&rest, '|'), text)) {
            out->number = i;
            return true;
        }
    }
    conf_value_show(why, text);
    bool single = slice_find_byte(slice_str(key->choices), '|') < 0;
    buf_add(why, single ? SLICE(" is not known, only: ") : SLICE(" is not one of: "));
    conf_choices_add(why, key->choices);
    return false;
}

static void enum_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    struct slice rest = slice_str(key->choices);
    struct slice name = slice_cut(&rest, '|');
    for (uint64_t i = 0; i < v->number; i++) {
        must(rest.len > 0); /* every value of the C enum has a name */
        name = slice_cut(&rest, '|');
    }
    buf_add(out, name);
}

/* ---- the type table ------------------------------------------------------------------------ */

struct type_row {
    const char *noun;
    size_t item_size;
    bool (*parse)(const struct conf_key *, struct slice, union conf_value *, struct buf *);
    void (*print)(const struct conf_key *, const union conf_value *, struct buf *);
    bool number;      /* YAML integer or bool: never quoted */
    bool plain;       /* printed without quotes */
    bool holds_slice; /* the union's text, or relay.name */
};

#define TEXT_ROW(noun, parse)                                                                      \
    {                                                                                              \
        noun, sizeof(struct slice), parse, conf_text_print, false, false, true                     \
    }

static const struct type_row types[] = {
    [CONF_BOOL] = {"true or false", 1, bool_parse, bool_print, true, true, false},
    [CONF_COUNT] = {"a whole number", 4, count_parse, number_print, true, true, false},
    [CONF_PORT] = {"a port", 2, count_parse, number_print, true, true, false},
    [CONF_DURATION] = {"a duration", 8, duration_parse, number_print, false, true, false},
    [CONF_SIZE] = {"a size", 8, size_parse, number_print, false, true, false},
    [CONF_ENUM] = {"a word", sizeof(enum conf_log_level), enum_parse, enum_print, false, true,
                   false},
    [CONF_TEXT] = TEXT_ROW("a text", conf_text_parse),
    [CONF_DOMAIN] = TEXT_ROW("a host name", conf_domain_parse),
    [CONF_EHLO_NAME] = TEXT_ROW("a host name or [address]", conf_ehlo_name_parse),
    [CONF_PATH] = TEXT_ROW("a path", conf_path_parse),
    [CONF_FIELD_NAME] = TEXT_ROW("a header field name", conf_field_name_parse),
    [CONF_LABEL] = TEXT_ROW("a name", conf_label_parse),
    [CONF_MAILBOX] = TEXT_ROW("a mail address", conf_mailbox_parse),
    [CONF_ADDRESS] = {"an IP address", sizeof(struct ip_addr), conf_address_parse,
                      conf_address_print, false, false, false},
    [CONF_ADDRESS4] = {"an IPv4 address", sizeof(struct ip_addr), conf_address_parse,
                       conf_address_print, false, false, false},
    [CONF_ADDRESS6] = {"an IPv6 address", sizeof(struct ip_addr), conf_address_parse,
                       conf_address_print, false, false, false},
    [CONF_NET] = {"a network", sizeof(struct ip_net), conf_net_parse, conf_net_print, false, false,
                  false},
    [CONF_ENDPOINT] = {"an IP address with a port", sizeof(struct ip_endpoint), conf_endpoint_parse,
                       conf_endpoint_print, false, false, false},
    [CONF_WEIGHT] = {"a name with its share, like ip1:3", sizeof(struct conf_weight),
                     conf_weight_parse, conf_weight_print, false, false, true},
    [CONF_EGRESS_PROXY] = {"a proxy", sizeof(struct conf_egress_proxy), conf_egress_proxy_parse,
                           conf_egress_proxy_print, false, false, false},
    [CONF_WARMUP_DAYS] = {"a provider with its days, like google:20 50 100",
                          sizeof(struct conf_warmup_list), conf_warmup_days_parse,
                          conf_warmup_days_print, false, false, true},
    [CONF_RELAY_HOST] = {"a relay host", sizeof(struct conf_relay_host), conf_relay_host_parse,
                         conf_relay_host_print, false, false, true},
};

bool conf_value_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                      struct buf *why)
{
    must((size_t)key->type < ARRAY_COUNT(types));
    union conf_value v;
    memset(&v, 0, sizeof(v));
    bool empty_ok = text.len == 0 && (key->flags & CONF_EMPTY_OK);
    if (!empty_ok && text.len == 0) {
        buf_addf(why, "is empty, must be %s", types[key->type].noun);
        return false;
    }
    if (!empty_ok && !types[key->type].parse(key, text, &v, why)) {
        return false;
    }
    if (empty_ok && types[key->type].holds_slice) {
        v.text = slice_of("", 0);
    }
    *out = v;
    return true;
}

void conf_value_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    types[key->type].print(key, v, out);
}

void conf_value_own(const struct conf_key *key, union conf_value *v, struct conf_arena *arena)
{
    if (key->type == CONF_RELAY_HOST) {
        v->relay.name = conf_arena_copy(arena, v->relay.name);
    } else if (key->type == CONF_WEIGHT) {
        v->weight.name = conf_arena_copy(arena, v->weight.name);
    } else if (key->type == CONF_WARMUP_DAYS) {
        v->warmup.provider = conf_arena_copy(arena, v->warmup.provider);
        v->warmup.days = conf_arena_copy(arena, v->warmup.days);
    } else if (types[key->type].holds_slice) {
        v->text = conf_arena_copy(arena, v->text);
    }
}

size_t conf_value_item_size(enum conf_type type)
{
    return types[type].item_size;
}

static bool in_number(enum conf_type type)
{
    return types[type].number || type == CONF_DURATION || type == CONF_SIZE || type == CONF_ENUM;
}

void conf_value_store(const struct conf_key *key, const union conf_value *v, void *field,
                      size_t size)
{
    if (!in_number(key->type)) {
        must(size == types[key->type].item_size);
        memcpy(field, v, size);
        return;
    }
    /* The low bytes of a little-endian number would do; this does not depend on it. */
    uint8_t n8 = (uint8_t)v->number;
    uint16_t n16 = (uint16_t)v->number;
    uint32_t n32 = (uint32_t)v->number;
    const void *from = size == 1   ? (void *)&n8
                       : size == 2 ? (void *)&n16
                       : size == 4 ? (void *)&n32
                                   : (const void *)&v->number;
    must(size == 1 || size == 2 || size == 4 || size == 8);
    must(size == 8 || v->number >> (size * 8) == 0);
    memcpy(field, from, size);
}

void conf_value_load(const struct conf_key *key, const void *field, size_t size,
                     union conf_value *v)
{
    memset(v, 0, sizeof(*v));
    if (!in_number(key->type)) {
        must(size == types[key->type].item_size);
        memcpy(v, field, size);
        return;
    }
    uint8_t n8;
    uint16_t n16;
    uint32_t n32;
    switch (size) {
    case 1:
        memcpy(&n8, field, size);
        v->number = n8;
        break;
    case 2:
        memcpy(&n16, field, size);
        v->number = n16;
        break;
    case 4:
        memcpy(&n32, field, size);
        v->number = n32;
        break;
    default:
        must(size == 8);
        memcpy(&v->number, field, size);
    }
}

const char *conf_type_noun(enum conf_type type)
{
    return types[type].noun;
}

bool conf_type_is_number(enum conf_type type)
{
    return types[type].number && type != CONF_BOOL;
}

bool conf_type_prints_plain(enum conf_type type)
{
    return types[type].plain;
}
