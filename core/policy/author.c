/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/author.h"

struct author {
    const struct conf *conf;
    const struct access_client *client;
    struct access_refusal *out;
};

bool author_is_checked(const struct conf *conf, const struct access_client *c)
{
    return conf->sender.check_header && conf->sender.restrict_to != CONF_SENDER_ANY &&
           access_may_relay(conf, c);
}

static void author_refuse(struct access_refusal *out, struct slice text)
{
    out->verdict = (struct smtp_verdict){.code = 550, .enhanced = SLICE("5.7.1"), .text = text};
}

static bool author_may(void *ctx, const struct mail_address *a)
{
    struct author *author = ctx;
    struct slice user = author->client->authenticated ? author->client->user : slice_of("", 0);
    struct access_refusal refusal;
    struct buf text;
    if (!a->odd && access_check_sender(author->conf, author->client, a->text, &refusal)) {
        return true;
    }
    buf_init(&text, 4096);
    buf_addf(&text, "<%.*s>: From or Sender address rejected: %s%.*s",
             SLICE_ARG(slice_first(a->text, sizeof(author->out->text) / 2)),
             a->odd     ? "cannot be read for certain"
             : user.len ? "not owned by user "
                        : "not allowed",
             SLICE_ARG(slice_first(a->odd ? slice_of("", 0) : user, 64)));
    struct slice shown = slice_first(buf_slice(&text), sizeof(author->out->text));
    memcpy(author->out->text, shown.ptr, shown.len);
    buf_deinit(&text);
    author_refuse(author->out, slice_of(author->out->text, shown.len));
    return false;
}

bool author_check(const struct conf *conf, const struct access_client *c,
                  const struct mail_authors *authors, struct access_refusal *out)
{
    struct author author = {conf, c, out};
    const struct mail_address_sink to = {author_may, &author};
    switch (mail_authors_each(authors, &to)) {
    case MAIL_AUTHORS_READ:
        return true;
    case MAIL_AUTHORS_MISSING:
        if (conf->headers.add_missing) {
            return true; /* it gets the envelope's sender */
        }
        author_refuse(out, SLICE("The message has no From field"));
        break;
    case MAIL_AUTHORS_SYNTAX:
        author_refuse(out, SLICE("A From or Sender field cannot be read"));
        break;
    case MAIL_AUTHORS_STOPPED:
        break; /* author_may has said why */
    }
    return false;
}
