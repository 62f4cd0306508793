/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the driver may look at between two steps.
 */
#include "proto/smtp/server_tx.h"

enum smtp_server_phase smtp_server_phase(const struct smtp_server *s)
{
    switch ((enum smtp_server_state)s->state) {
    case SMTP_STATE_GREETING:
        return SMTP_PHASE_GREETING;
    case SMTP_STATE_START:
    case SMTP_STATE_READY:
    case SMTP_STATE_MAIL:
    case SMTP_STATE_RCPT:
    case SMTP_STATE_BDAT:
    case SMTP_STATE_AUTH:
        return SMTP_PHASE_COMMAND;
    case SMTP_STATE_STARTTLS:
        return SMTP_PHASE_TLS;
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
    case SMTP_STATE_SWALLOW:
        return SMTP_PHASE_BODY;
    case SMTP_STATE_CHECK_MAIL:
    case SMTP_STATE_CHECK_RCPT:
    case SMTP_STATE_CHECK_DATA:
    case SMTP_STATE_CHECK_BDAT:
    case SMTP_STATE_COMMIT:
    case SMTP_STATE_AUTH_CHALLENGE:
    case SMTP_STATE_CHECK_AUTH:
        return SMTP_PHASE_WAIT;
    case SMTP_STATE_CLOSED:
    case SMTP_STATE_COUNT:
        break;
    }
    return SMTP_PHASE_CLOSED;
}

struct slice smtp_server_data(const struct smtp_server *s)
{
    return s->data;
}

const struct smtp_envelope *smtp_server_envelope(const struct smtp_server *s)
{
    return s->tx ? &s->tx->envelope : NULL;
}

const struct smtp_body_facts *smtp_server_facts(const struct smtp_server *s)
{
    must(s->state == SMTP_STATE_COMMIT);
    return &s->tx->body.facts;
}

const struct smtp_verdict *smtp_server_fault(const struct smtp_server *s)
{
    const struct smtp_verdict *fault = NULL;
    if (s->tx && s->tx->body_begun) {
        fault = smtp_body_verdict(&s->tx->body);
    }
    if (!fault && s->tx) {
        fault = s->tx->refused;
    }
    return s->tx ? fault : s->abort_fault;
}

struct slice smtp_server_helo(const struct smtp_server *s)
{
    return buf_slice(&s->helo);
}

bool smtp_server_esmtp(const struct smtp_server *s)
{
    return s->esmtp;
}
