/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One row per verb and one place to add one.
 */
#include "proto/smtp/server_tx.h"

#define IN(state) (1u << SMTP_STATE_##state)

enum {
    ANY = IN(START) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(BDAT),
};

static const struct smtp_verb verbs[] = {
    {SLICE_INIT("EHLO"), 0, ANY, SMTP_ARG_NEEDED,
     SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP | SMTP_VERB_PRE_TLS, smtp_server_run_ehlo,
     "EHLO hostname", "5321 4.1.1.1"},
    {SLICE_INIT("HELO"), 0, ANY, SMTP_ARG_NEEDED,
     SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP | SMTP_VERB_PRE_TLS, smtp_server_run_helo,
     "HELO hostname", "5321 4.1.1.1"},
    {SLICE_INIT("MAIL"), 0, IN(READY), SMTP_ARG_NEEDED, 0, smtp_server_run_mail,
     "MAIL FROM:<address> [parameters]", "5321 4.1.1.2"},
    {SLICE_INIT("RCPT"), 0, IN(MAIL) | IN(RCPT), SMTP_ARG_NEEDED, 0, smtp_server_run_rcpt,
     "RCPT TO:<address> [parameters]", "5321 4.1.1.3"},
    {SLICE_INIT("DATA"), 0, IN(MAIL) | IN(RCPT), SMTP_ARG_NONE, SMTP_VERB_ENDS_GROUP,
     smtp_server_run_data, "DATA", "5321 4.1.1.4"},
    /* Runs everywhere: it must swallow its octets wherever it comes. */
    {SLICE_INIT("BDAT"), SMTP_FEATURE_CHUNKING, ANY, SMTP_ARG_OPTIONAL, SMTP_VERB_PAYLOAD,
     smtp_server_run_bdat, "BDAT size [LAST]", "3030 2"},
    {SLICE_INIT("RSET"), 0, ANY, SMTP_ARG_NONE, SMTP_VERB_JUNK, smtp_server_run_rset, "RSET",
     "5321 4.1.1.5"},
    {SLICE_INIT("NOOP"), 0, ANY, SMTP_ARG_OPTIONAL,
     SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP | SMTP_VERB_PRE_TLS, smtp_server_run_noop, "NOOP",
     "5321 4.1.1.9"},
    {SLICE_INIT("VRFY"), SMTP_FEATURE_VRFY, ANY, SMTP_ARG_NEEDED,
     SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP, smtp_server_run_vrfy, "VRFY address", "5321 4.1.1.6"},
    {SLICE_INIT("EXPN"), 0, ANY, SMTP_ARG_OPTIONAL, SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP,
     smtp_server_run_expn, "EXPN list", "5321 4.1.1.7"},
    {SLICE_INIT("HELP"), SMTP_FEATURE_HELP, ANY, SMTP_ARG_OPTIONAL,
     SMTP_VERB_JUNK | SMTP_VERB_PRE_TLS, smtp_server_run_help, "HELP", "5321 4.1.1.8"},
    {SLICE_INIT("QUIT"), 0, ANY, SMTP_ARG_OPTIONAL, SMTP_VERB_ENDS_GROUP | SMTP_VERB_PRE_TLS,
     smtp_server_run_quit, "QUIT", "5321 4.1.1.10"},
    {SLICE_INIT("STARTTLS"), SMTP_FEATURE_STARTTLS, IN(START) | IN(READY), SMTP_ARG_NONE,
     SMTP_VERB_JUNK | SMTP_VERB_ENDS_GROUP | SMTP_VERB_PRE_TLS, smtp_server_run_starttls,
     "STARTTLS", "3207 4"},
    {SLICE_INIT("AUTH"), SMTP_FEATURE_AUTH, IN(READY), SMTP_ARG_NEEDED, SMTP_VERB_ENDS_GROUP,
     smtp_server_run_auth, "AUTH mechanism [initial-response]", "4954 4"},
};

const struct smtp_verb *smtp_verb_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (slice_eq_nocase(verbs[i].name, name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

const struct smtp_verb *smtp_verb_at(size_t index)
{
    return index < ARRAY_COUNT(verbs) ? &verbs[index] : NULL;
}

bool smtp_verb_is_foreign(struct slice word)
{
    static const struct slice methods[] = {
        SLICE_INIT("GET"),   SLICE_INIT("POST"),     SLICE_INIT("HEAD"),    SLICE_INIT("PUT"),
        SLICE_INIT("PATCH"), SLICE_INIT("DELETE"),   SLICE_INIT("OPTIONS"), SLICE_INIT("CONNECT"),
        SLICE_INIT("TRACE"), SLICE_INIT("PROPFIND"), SLICE_INIT("PRI"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (slice_eq_nocase(methods[i], word)) {
            return true;
        }
    }
    /* "MAIL:" is a typing error, "Host:" and "Subject:" are another protocol or a message. */
    int colon = slice_find_byte(word, ':');
    return colon > 0 && !smtp_verb_find(slice_first(word, (size_t)colon));
}
