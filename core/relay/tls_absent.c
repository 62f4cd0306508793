/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Until tls/stream.c and tls/context.c are there. */
#include "tls/stream.h"
#define W __attribute__((weak))
W struct tls_stream *tls_stream_open(const struct tls_stream_config *c){(void)c;return 0;}
W void tls_stream_close(struct tls_stream **s){(void)s;}
W size_t tls_stream_feed(struct tls_stream *s, struct slice c){(void)s;(void)c;return 0;}
W enum tls_step tls_stream_step(struct tls_stream *s, struct buf *o){(void)s;(void)o;return TLS_STEP_FAILED;}
W enum tls_read tls_stream_read(struct tls_stream *s, struct buf *p, size_t m, struct buf *o){(void)s;(void)p;(void)m;(void)o;return TLS_READ_FAILED;}
W size_t tls_stream_write(struct tls_stream *s, struct slice p, struct buf *o){(void)s;(void)p;(void)o;return 0;}
W bool tls_stream_shutdown(struct tls_stream *s, struct buf *o){(void)s;(void)o;return true;}
W const struct tls_failure *tls_stream_error(const struct tls_stream *s){(void)s;return 0;}
W const char *tls_error_name(enum tls_error k){(void)k;return "";}
W const struct tls_facts *tls_stream_facts(const struct tls_stream *s){(void)s;return 0;}
W struct tls_context *tls_context_open_server(const struct tls_server_config *c, struct buf *p){(void)c;buf_add(p,SLICE("not built in"));return 0;}
W struct tls_context *tls_context_open_client(const struct tls_client_config *c, struct buf *p){(void)c;(void)p;static int x;return (struct tls_context *)&x;}
W void tls_context_put(struct tls_context **c){*c=0;}
