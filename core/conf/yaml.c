/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Events, not documents: libfyaml's document API would resolve aliases (unbounded growth) and keeps
 * no place for what it drops. Here each event becomes at most one node; a stack of open collections
 * takes the place of recursion.
 *
 *   key wanted ──scalar──► value wanted ──scalar──► key wanted          (in a map)
 *                               └──map/list start──► push … end ──► pop (attached when it starts)
 */
#include "core/conf/yaml.h"
#include "core/base/must.h"
#include "core/base/utf8.h"

#include <libfyaml.h>

enum { PATH_BYTES_MAX = 4096 };

struct open_collection {
    struct conf_node *node;
    bool has_key; /* a map whose next node is a value */
    struct slice key;
    uint32_t key_line;
    uint32_t key_col;
    bool drop; /* the value belongs to a duplicate key */
};

struct yaml_reader {
    struct conf_arena *arena;
    struct conf_report *report;
    struct slice name;
    struct conf_node *root;
    struct open_collection stack[CONF_YAML_DEPTH_MAX];
    size_t depth;
    size_t *nodes_left;
    size_t documents;
};

static struct conf_origin origin_at(const struct yaml_reader *r, const struct fy_mark *mark)
{
    struct conf_origin o = {.kind = CONF_FROM_FILE, .name = r->name};
    if (mark && mark->line >= 0 && mark->column >= 0) {
        o.line = (uint32_t)mark->line + 1;
        o.col = (uint32_t)mark->column + 1;
    }
    return o;
}

#define report_at(r, origin, ...) conf_report_error((r)->report, (origin), SLICE(""), __VA_ARGS__)

/* ---- before the library: encoding ---------------------------------------------------------- */

/* libfyaml would guess UTF-16 from the first bytes and tells no place for a broken sequence. */
static bool encoding_ok(struct yaml_reader *r, struct slice text)
{
    struct conf_origin at = {.kind = CONF_FROM_FILE, .name = r->name, .line = 1, .col = 1};
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = c < 0x80 ? 1 : utf8_sequence(slice_skip(text, i));
        if (n == 0) {
            report_at(r, &at, "byte 0x%02x is not UTF-8; save the file as UTF-8", c);
            return false;
        }
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
            report_at(r, &at, "control character 0x%02x; only tabs and line ends are allowed", c);
            return false;
        }
        i += n;
        at.col++;
        if (c == '\n') {
            at.line++;
            at.col = 1;
        }
    }
    return true;
}

/* ---- events -------------------------------------------------------------------------------- */

static bool attach(struct yaml_reader *r, struct conf_node *n)
{
    if (r->depth == 0) {
        r->root = n;
        return true;
    }
    struct open_collection *top = &r->stack[r->depth - 1];
    if (top->node->kind == CONF_NODE_MAP) {
        must(top->has_key);
        n->key = top->key;
        n->key_line = top->key_line;
        n->key_col = top->key_col;
        top->has_key = false;
        if (top->node->count >= CONF_YAML_MAP_KEYS_MAX) {
            report_at(r, &n->origin, "more than %d keys in one group", CONF_YAML_MAP_KEYS_MAX);
            return false;
        }
        if (top->drop) {
            return true;
        }
    }
    conf_node_append(top->node, n);
    return true;
}

/* "listeners[1].port": where the innermost open map and its key are. */
static void path_add(struct buf *path, const struct yaml_reader *r)
{
    for (size_t i = 1; i < r->depth; i++) {
        const struct conf_node *outer = r->stack[i - 1].node;
        if (outer->kind == CONF_NODE_LIST) {
            buf_addf(path, "[%zu]", outer->count - 1);
        } else {
            conf_report_escape(path, r->stack[i].node->key);
        }
        if (r->stack[i].node->kind == CONF_NODE_MAP) {
            buf_add_byte(path, '.');
        }
    }
    conf_report_escape(path, r->stack[r->depth - 1].key);
}

static void duplicate_check(struct yaml_reader *r, struct open_collection *top,
                            const struct conf_origin *at)
{
    const struct conf_node *other = conf_node_find(top->node, top->key);
    top->drop = other != NULL;
    if (other) {
        struct buf path;
        buf_init(&path, PATH_BYTES_MAX);
        path_add(&path, r);
        conf_report_error(r->report, at, buf_slice(&path), "given twice, first at line %u",
                          other->key_line);
        buf_deinit(&path);
    }
}

static bool scalar_event(struct yaml_reader *r, struct fy_event *e, struct conf_origin *at)
{
    size_t len = 0;
    enum fy_scalar_style style = fy_token_scalar_style(e->scalar.value);
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && at->col > 1) {
        at->col--; /* the library's mark stands behind the quote */
    }
    const char *ptr = fy_token_get_text(e->scalar.value, &len);
    struct slice text = conf_arena_copy(r->arena, slice_of(ptr, ptr ? len : 0));
    struct open_collection *top = r->depth ? &r->stack[r->depth - 1] : NULL;
    if (top && top->node->kind == CONF_NODE_MAP && !top->has_key) {
        top->has_key = true;
        top->key = text;
        top->key_line = at->line;
        top->key_col = at->col;
        duplicate_check(r, top, at);
        return true;
    }
    struct conf_node *n = conf_node_new(r->arena, CONF_NODE_SCALAR, at);
    n->text = text;
    n->plain = style == FYSS_PLAIN;
    if (n->origin.line == 0 && top && top->has_key) {
        n->origin.line = top->key_line;
        n->origin.col = top->key_col;
    }
    return attach(r, n);
}

static bool open_event(struct yaml_reader *r, enum conf_node_kind kind,
                       const struct conf_origin *at)
{
    if (r->depth == CONF_YAML_DEPTH_MAX) {
        report_at(r, at, "nested deeper than %d levels", CONF_YAML_DEPTH_MAX);
        return false;
    }
    const struct open_collection *top = r->depth ? &r->stack[r->depth - 1] : NULL;
    if (top && top->node->kind == CONF_NODE_MAP && !top->has_key) {
        report_at(r, at, "a list or a group cannot be a key");
        return false;
    }
    struct conf_node *n = conf_node_new(r->arena, kind, at);
    if (!attach(r, n)) {
        return false;
    }
    r->stack[r->depth++] = (struct open_collection){.node = n};
    return true;
}

static bool close_event(struct yaml_reader *r)
{
    must(r->depth > 0);
    must(!r->stack[r->depth - 1].has_key);
    r->depth--;
    return true;
}

/* What YAML can do and a configuration does not need. */
static bool plain_event(struct yaml_reader *r, struct fy_event *e, const struct conf_origin *at)
{
    if (fy_event_get_anchor_token(e)) {
        report_at(r, at, "anchors (&name) are not supported; write the value out");
        return false;
    }
    if (fy_event_get_tag_token(e)) {
        report_at(r, at, "tags (!type) are not supported; leave it out");
        return false;
    }
    if (*r->nodes_left == 0) {
        report_at(r, at, "too many values in all sources together");
        return false;
    }
    --*r->nodes_left;
    return true;
}

/* False ends the reading; a message has been written then. */
static bool event(struct yaml_reader *r, struct fy_event *e)
{
    struct conf_origin at = origin_at(r, fy_event_start_mark(e));
    switch (e->type) {
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return true;
    case FYET_DOCUMENT_START:
        if (++r->documents > 1) {
            report_at(r, &at, "a second document (---); only one per file is allowed");
            return false;
        }
        return true;
    case FYET_ALIAS:
        report_at(r, &at, "aliases (*name) are not supported; write the value out");
        return false;
    case FYET_SCALAR:
        return plain_event(r, e, &at) && scalar_event(r, e, &at);
    case FYET_MAPPING_START:
        return plain_event(r, e, &at) && open_event(r, CONF_NODE_MAP, &at);
    case FYET_SEQUENCE_START:
        return plain_event(r, e, &at) && open_event(r, CONF_NODE_LIST, &at);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return close_event(r);
    }
    return true;
}

/* The library's own complaint, with its place. */
static void syntax_report(struct yaml_reader *r, struct fy_parser *parser)
{
    struct fy_diag *diag = fy_parser_get_diag(parser); /* a reference of our own */
    void *at = NULL;
    struct conf_origin o = {.kind = CONF_FROM_FILE, .name = r->name};
    struct fy_diag_error *err = diag ? fy_diag_errors_iterate(diag, &at) : NULL;
    if (err && err->msg) {
        o.line = err->line > 0 ? (uint32_t)err->line : 0;
        o.col = err->column > 0 ? (uint32_t)err->column : 1;
        struct slice msg = slice_str(err->msg);
        while (msg.len && (msg.ptr[msg.len - 1] == '\n' || msg.ptr[msg.len - 1] == ' ')) {
            msg.len--;
        }
        report_at(r, &o, "not valid YAML: %.*s", SLICE_ARG(msg));
    } else {
        report_at(r, &o, "not valid YAML");
    }
    fy_diag_unref(diag);
}

static bool parse_events(struct yaml_reader *r, struct fy_parser *parser, struct slice text)
{
    if (fy_parser_set_string(parser, text.ptr, text.len) != 0) {
        syntax_report(r, parser);
        return false;
    }
    for (;;) {
        struct fy_event *e = fy_parser_parse(parser);
        if (!e) {
            break;
        }
        bool end = e->type == FYET_STREAM_END;
        bool ok = event(r, e);
        fy_parser_event_free(parser, e);
        if (!ok || end) {
            return ok;
        }
    }
    /* Without a STREAM_END the parser has stopped at an error. */
    syntax_report(r, parser);
    return false;
}

static bool parse(struct yaml_reader *r, struct slice text)
{
    struct conf_origin whole = {.kind = CONF_FROM_FILE, .name = r->name};
    struct fy_diag_cfg diag_cfg;
    bool ok = false;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL; /* nothing goes to stderr behind our back */
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (diag) {
        fy_diag_set_collect_errors(diag, true);
    }
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS |
                 FYPCF_DISABLE_MMAP_OPT,
        .diag = diag,
    };
    struct fy_parser *parser = diag ? fy_parser_create(&cfg) : NULL;
    if (!parser) {
        report_at(r, &whole, "cannot be read: out of memory");
        goto out;
    }
    ok = parse_events(r, parser, text);
out:
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return ok;
}

struct conf_node *conf_yaml_read(struct slice text, struct slice name, struct conf_arena *arena,
                                 struct conf_report *report, size_t *nodes_left)
{
    struct yaml_reader r = {.arena = arena,
                            .report = report,
                            .name = name,
                            .nodes_left = nodes_left};
    struct conf_origin whole = {.kind = CONF_FROM_FILE, .name = name};
    if (text.len > CONF_YAML_BYTES_MAX) {
        report_at(&r, &whole, "larger than %d bytes", CONF_YAML_BYTES_MAX);
        return NULL;
    }
    if (!encoding_ok(&r, text)) {
        return NULL;
    }
    if (text.len == 0) {
        return conf_node_new(arena, CONF_NODE_MAP, &whole);
    }
    if (!parse(&r, text)) {
        return NULL;
    }
    if (!r.root || conf_node_is_null(r.root)) {
        return conf_node_new(arena, CONF_NODE_MAP, &whole);
    }
    if (r.root->kind != CONF_NODE_MAP) {
        report_at(&r, &r.root->origin,
                  "the top level must be a group of keys, like \"workers: 2\"");
        return NULL;
    }
    return r.root;
}
