/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   START ──► METHOD ──none──────────► REPLY ──0──► OPEN
 *                └─user/password─► LOGIN ─┘   └─else─► FAILED ◄── (any state: bytes that make no sense)
 *
 * An answer is gathered byte by byte until it is whole; only REPLY's length depends on what is in it.
 */
#include "proto/socks/client.h"

#include "core/base/must.h"

enum {
    VERSION = 5,
    LOGIN_VERSION = 1,
    METHOD_NONE = 0,
    METHOD_LOGIN = 2,
    METHOD_NO_ACCEPTABLE = 0xFF,
    COMMAND_CONNECT = 1,
    TYPE_IPV4 = 1,
    TYPE_NAME = 3,
    TYPE_IPV6 = 4,
    ANSWER_BYTES = 2,     /* of METHOD and LOGIN */
    REPLY_HEAD_BYTES = 5, /* of REPLY, up to what tells its length */
};

struct reply_row {
    struct slice text;
    enum socks_fault fault;
};

/* A general failure is the proxy's own: those that mean the destination have their codes. */
static const struct reply_row replies[] = {
    [0] = {SLICE_INIT("succeeded"), SOCKS_FAULT_PROXY},
    [1] = {SLICE_INIT("general failure"), SOCKS_FAULT_PROXY},
    [2] = {SLICE_INIT("not allowed by its rules"), SOCKS_FAULT_REQUEST},
    [3] = {SLICE_INIT("network unreachable"), SOCKS_FAULT_TARGET},
    [4] = {SLICE_INIT("host unreachable"), SOCKS_FAULT_TARGET},
    [5] = {SLICE_INIT("connection refused"), SOCKS_FAULT_TARGET},
    [6] = {SLICE_INIT("connection timed out"), SOCKS_FAULT_TARGET},
    [7] = {SLICE_INIT("it does not know CONNECT"), SOCKS_FAULT_PROXY},
    [8] = {SLICE_INIT("it does not know this address family"), SOCKS_FAULT_REQUEST},
};

static const struct reply_row *reply_row(uint8_t code)
{
    static const struct reply_row unassigned = {SLICE_INIT("unassigned reply code"),
                                                SOCKS_FAULT_PROXY};
    return code < ARRAY_COUNT(replies) ? &replies[code] : &unassigned;
}

struct slice socks_reply_text(uint8_t code)
{
    return reply_row(code)->text;
}

void socks_client_init(struct socks_client *c, const struct socks_config *config)
{
    must(config->to.addr.family != IP_NONE);
    must(config->user.len <= SOCKS_USER_BYTES_MAX);
    must(config->password.len <= SOCKS_PASSWORD_BYTES_MAX);
    *c = (struct socks_client){.config = *config, .state = SOCKS_STATE_START};
}

/* ---- what we say ---- */

static void await(struct socks_client *c, enum socks_state state, uint16_t need)
{
    must(need <= sizeof(c->bytes));
    c->state = (uint8_t)state;
    c->used = 0;
    c->need = need;
}

static void say_methods(struct socks_client *c, struct buf *out)
{
    bool login = c->config.user.len > 0;
    buf_add_byte(out, VERSION);
    buf_add_byte(out, login ? 2 : 1);
    buf_add_byte(out, METHOD_NONE);
    if (login) {
        buf_add_byte(out, METHOD_LOGIN);
    }
    await(c, SOCKS_STATE_METHOD, ANSWER_BYTES);
}

static void say_login(struct socks_client *c, struct buf *out)
{
    buf_add_byte(out, LOGIN_VERSION);
    buf_add_byte(out, (char)c->config.user.len);
    buf_add(out, c->config.user);
    buf_add_byte(out, (char)c->config.password.len);
    buf_add(out, c->config.password);
    await(c, SOCKS_STATE_LOGIN, ANSWER_BYTES);
}

static void say_connect(struct socks_client *c, struct buf *out)
{
    const struct ip_endpoint *to = &c->config.to;
    bool v4 = to->addr.family == IP_V4;
    buf_add_byte(out, VERSION);
    buf_add_byte(out, COMMAND_CONNECT);
    buf_add_byte(out, 0);
    buf_add_byte(out, v4 ? TYPE_IPV4 : TYPE_IPV6);
    buf_add(out, slice_of(to->addr.bytes, v4 ? 4 : 16));
    buf_add_byte(out, (char)(to->port >> 8));
    buf_add_byte(out, (char)(to->port & 0xFF));
    await(c, SOCKS_STATE_REPLY, REPLY_HEAD_BYTES);
}

/* ---- what it answers ---- */

static void fail(struct socks_client *c, enum socks_fault fault, const char *reason)
{
    c->state = SOCKS_STATE_FAILED;
    c->fault = (uint8_t)fault;
    c->reason = reason;
}

static void on_method(struct socks_client *c, struct buf *out)
{
    switch (c->bytes[1]) {
    case METHOD_NONE:
        say_connect(c, out);
        return;
    case METHOD_LOGIN:
        if (c->config.user.len) {
            say_login(c, out);
            return;
        }
        break;
    case METHOD_NO_ACCEPTABLE:
        fail(c, SOCKS_FAULT_PROXY,
             c->config.user.len ? "it takes neither our login nor none" : "it wants a login");
        return;
    default:
        break;
    }
    fail(c, SOCKS_FAULT_PROXY, "it chose a method of login that was not offered");
}

static void on_login(struct socks_client *c, struct buf *out)
{
    if (c->bytes[1] != 0) {
        fail(c, SOCKS_FAULT_PROXY, "it refused user name or password");
        return;
    }
    say_connect(c, out);
}

/* The first bytes of a reply: how long it is. */
static void on_reply_head(struct socks_client *c)
{
    switch (c->bytes[3]) {
    case TYPE_IPV4:
        c->need = 4 + 4 + 2;
        return;
    case TYPE_IPV6:
        c->need = 4 + 16 + 2;
        return;
    case TYPE_NAME:
        c->need = (uint16_t)(4 + 1 + c->bytes[4] + 2);
        return;
    default:
        fail(c, SOCKS_FAULT_PROXY, "it answered with an unknown type of address");
    }
}

static void on_reply(struct socks_client *c)
{
    size_t address = c->bytes[3] == TYPE_IPV4 ? 4 : c->bytes[3] == TYPE_IPV6 ? 16 : 0;
    if (address) {
        const uint8_t *port = c->bytes + 4 + address;
        c->bound = (struct ip_endpoint){ip_addr_from_bytes(c->bytes + 4, address),
                                        (uint16_t)((unsigned)port[0] << 8 | port[1])};
    }
    c->state = SOCKS_STATE_OPEN;
}

/* One byte more of an answer. A failure is told by its second byte: many proxies send no address then. */
static void take_byte(struct socks_client *c, uint8_t byte)
{
    must(c->used < sizeof(c->bytes) && c->used < c->need);
    bool reply = c->state == SOCKS_STATE_REPLY;
    c->bytes[c->used++] = byte;
    if (c->used == 1 && byte != (c->state == SOCKS_STATE_LOGIN ? LOGIN_VERSION : VERSION)) {
        fail(c, SOCKS_FAULT_PROXY, "it does not speak SOCKS5");
    } else if (c->used == 2 && reply && byte != 0) {
        c->reply = byte;
        fail(c, reply_row(byte)->fault, reply_row(byte)->text.ptr);
    } else if (c->used == REPLY_HEAD_BYTES && reply) {
        on_reply_head(c);
    }
}

static void on_answer(struct socks_client *c, struct buf *out)
{
    switch ((enum socks_state)c->state) {
    case SOCKS_STATE_METHOD:
        on_method(c, out);
        return;
    case SOCKS_STATE_LOGIN:
        on_login(c, out);
        return;
    case SOCKS_STATE_REPLY:
        on_reply(c);
        return;
    case SOCKS_STATE_START:
    case SOCKS_STATE_OPEN:
    case SOCKS_STATE_FAILED:
        return;
    }
}

static bool is_over(const struct socks_client *c)
{
    return c->state == SOCKS_STATE_OPEN || c->state == SOCKS_STATE_FAILED;
}

enum socks_result socks_client_step(struct socks_client *c, struct slice *in, struct buf *out)
{
    if (c->state == SOCKS_STATE_START) {
        say_methods(c, out);
    }
    while (in->len && !is_over(c)) {
        take_byte(c, (uint8_t)in->ptr[0]);
        *in = slice_skip(*in, 1);
        if (!is_over(c) && c->used == c->need) {
            on_answer(c, out);
        }
    }
    return c->state == SOCKS_STATE_OPEN     ? SOCKS_OPEN
           : c->state == SOCKS_STATE_FAILED ? SOCKS_FAILED
                                            : SOCKS_MORE;
}

bool socks_client_had_secret(const struct socks_client *c)
{
    return c->state == SOCKS_STATE_LOGIN;
}

/* ---- what is said about it ---- */

void socks_client_reason(const struct socks_client *c, struct buf *out)
{
    must(c->state == SOCKS_STATE_FAILED);
    buf_add(out, slice_str(c->reason));
    if (c->reply) {
        buf_addf(out, " (reply %u)", (unsigned)c->reply);
    }
}

enum socks_fault socks_client_fault(const struct socks_client *c)
{
    must(c->state == SOCKS_STATE_FAILED);
    return (enum socks_fault)c->fault;
}

struct slice socks_client_awaits(const struct socks_client *c)
{
    static const struct slice names[] = {
        [SOCKS_STATE_START] = SLICE_INIT("greeting"),
        [SOCKS_STATE_METHOD] = SLICE_INIT("greeting"),
        [SOCKS_STATE_LOGIN] = SLICE_INIT("login"),
        [SOCKS_STATE_REPLY] = SLICE_INIT("connection"),
        [SOCKS_STATE_OPEN] = SLICE_INIT("nothing"),
        [SOCKS_STATE_FAILED] = SLICE_INIT("nothing"),
    };
    must(c->state < ARRAY_COUNT(names));
    return names[c->state];
}
