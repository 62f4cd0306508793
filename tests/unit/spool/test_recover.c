/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Damage: every byte of a segment is flipped, blocks vanish, groups are torn sector by sector; headers
 * break, versions change. Nothing wrong may come out, and what is lost must be named.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

#include "spool/dir.h"
#include "spool/scan.h"

enum { FRAMES_MAX = 256 };

static const struct model_options quiet = {
    .workers = 1, .body_max = 900, .load = 25, .no_results = true, .no_memos = true};

/* A segment with some mail in it, after an orderly end. */
struct sample {
    char name[DISK_NAME_MAX];
    uint8_t *bytes;
    size_t len;
    struct spool_segment_header header;
    uint32_t end;
    unsigned frames;
    uint64_t lsn_first;
    uint32_t offsets[FRAMES_MAX];
    uint32_t sums[FRAMES_MAX];
    unsigned seen;
    unsigned damage;
    unsigned torn;
    uint32_t damage_at;
};

static uint32_t payload_sum(struct slice p)
{
    uint32_t sum = 1;
    for (size_t i = 0; i < p.len; i++) {
        sum = sum * 31 + (uint8_t)p.ptr[i];
    }
    return sum;
}

static void sample_learn(void *ctx, const struct spool_frame_header *h, struct slice payload)
{
    struct sample *s = ctx;
    must(s->frames < FRAMES_MAX);
    s->lsn_first = s->frames ? s->lsn_first : h->lsn;
    s->offsets[s->frames] = h->offset;
    s->sums[s->frames++] = payload_sum(payload);
}

static void sample_compare(void *ctx, const struct spool_frame_header *h, struct slice payload)
{
    struct sample *s = ctx;
    expect(h->lsn >= s->lsn_first && h->lsn - s->lsn_first < s->frames, "a frame nobody wrote");
    expect(s->offsets[h->lsn - s->lsn_first] == h->offset, "a frame in a wrong place");
    expect(s->sums[h->lsn - s->lsn_first] == payload_sum(payload), "a wrong payload");
    s->seen++;
}

static void sample_broken(void *ctx, enum spool_damage kind, uint32_t offset, uint32_t bytes)
{
    struct sample *s = ctx;
    expect(bytes > 0 && offset >= SPOOL_DATA_OFFSET, "an empty report");
    s->damage += kind == SPOOL_DAMAGE_FRAME ? 1 : 0;
    s->torn += kind == SPOOL_DAMAGE_TORN ? 1 : 0;
    s->damage_at = offset;
}

static void sample_scan(struct sample *s, bool complete, bool learn)
{
    s->seen = s->damage = s->torn = 0;
    const struct spool_scan scan = {.bytes = slice_of(s->bytes, s->len),
                                    .number = s->header.number,
                                    .salt = s->header.salt,
                                    .end = s->end,
                                    .complete = complete,
                                    .frame = learn ? sample_learn : sample_compare,
                                    .broken = sample_broken,
                                    .ctx = s};
    struct spool_scanned out;
    spool_scan_segment(&scan, &out);
    s->end = learn ? out.valid_end : s->end;
}

static void sample_make(struct model *m, struct sample *s)
{
    fake_init(4);
    model_init(m, 4);
    model_start(m, &quiet);
    model_run(m, 200);
    model_settle(m, 1000);
    model_stop(m);
    memset(s, 0, sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", fake_file_first("seg-"));
    s->bytes = fake_file_bytes(s->name, &s->len);
    must(s->bytes && spool_segment_header_decode(slice_of(s->bytes, s->len), &s->header));
    s->end = (uint32_t)s->len - SPOOL_BLOCK_BYTES;
    sample_scan(s, false, true);
    ck_assert_uint_gt(s->frames, 20);
    ck_assert_uint_eq(s->damage + s->torn, 0);
}

static void sample_free(struct model *m)
{
    model_deinit(m);
    fake_deinit();
}

/* Only the groups that begin before `limit`: what follows is as if it had never been written. */
static void sample_cut(struct sample *s, uint32_t limit)
{
    for (unsigned i = 0; i < s->frames; i++) {
        struct spool_frame_header h;
        struct slice p;
        struct slice at = slice_of(s->bytes + s->offsets[i], s->len - s->offsets[i]);
        must(spool_frame_check(at, s->header.number, s->header.salt, s->offsets[i], &h, &p) ==
             SPOOL_FRAME_OK);
        if (h.group >= limit) {
            s->end = h.group;
            s->frames = i;
        }
    }
    s->len = s->end;
}

START_TEST(every_byte_flipped)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    sample_cut(&s, 5 * SPOOL_BLOCK_BYTES);
    ck_assert_uint_gt(s.frames, 3);
    struct rng rng;
    rng_init_seed(&rng, 1);
    for (uint32_t at = SPOOL_DATA_OFFSET; at < s.end; at++) {
        uint8_t was = s.bytes[at];
        s.bytes[at] = (uint8_t)(was ^ (1u << rng_below(&rng, 8)));
        sample_scan(&s, true, false);
        expect(s.seen + 1 >= s.frames, "one flip, more than one record");
        expect(s.seen == s.frames || s.damage == 1, "lost in silence");
        sample_scan(&s, false, false); /* nothing says that the last group was durable: a note */
        expect(s.seen + 1 >= s.frames, "one flip, more than one record");
        expect(s.seen == s.frames || s.damage + s.torn == 1, "lost in silence, and no seal");
        s.bytes[at] = was;
    }
    sample_free(&m);
}
END_TEST

/* A file that was a segment before is full of whole frames, each in its place: they are no torn end. */
START_TEST(frames_of_a_former_life)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    for (unsigned half = s.frames / 2; s.frames > half;) {
        uint32_t at = s.offsets[--s.frames];
        struct spool_frame_header h = {.epoch = s.header.number - 1, .offset = at};
        spool_frame_seal(s.bytes + at, &h, ~s.header.salt);
    }
    sample_scan(&s, false, false); /* used as far as half of it */
    ck_assert(s.seen == s.frames && s.damage + s.torn == 0);
    s.header.number++;
    sample_scan(&s, false, false); /* made again, and not used yet */
    ck_assert(s.seen + s.damage + s.torn == 0);
    sample_free(&m);
}
END_TEST

START_TEST(zeroed_blocks)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    s.len = s.end;
    uint8_t keep[SPOOL_BLOCK_BYTES];
    for (uint32_t at = SPOOL_DATA_OFFSET; at < s.end; at += SPOOL_BLOCK_BYTES) {
        memcpy(keep, s.bytes + at, sizeof(keep));
        memset(s.bytes + at, 0, sizeof(keep));
        sample_scan(&s, true, false);
        ck_assert_uint_lt(s.seen, s.frames);
        ck_assert_uint_eq(s.damage, 1);
        memcpy(s.bytes + at, keep, sizeof(keep));
    }
    sample_free(&m);
}
END_TEST

/* The last group with any subset of its sectors missing: torn, never damage; earlier groups whole. */
START_TEST(torn_tail)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    struct rng rng;
    rng_init_seed(&rng, 2);
    uint32_t group = 0;
    unsigned before = 0;
    for (unsigned i = 0; i < s.frames; i++) {
        struct spool_frame_header h;
        struct slice p;
        struct slice at = slice_of(s.bytes + s.offsets[i], s.len - s.offsets[i]);
        ck_assert_int_eq((int)spool_frame_check(at, s.header.number, s.header.salt, s.offsets[i],
                                                &h, &p),
                         SPOOL_FRAME_OK);
        before = h.group != group ? i : before;
        group = h.group;
    }
    s.len = s.end;
    size_t tail = s.end - group;
    uint8_t *keep = malloc(tail);
    must(keep);
    memcpy(keep, s.bytes + group, tail);
    for (unsigned round = 0; round < 3000; round++) {
        for (size_t at = 0; at < tail; at += 512) {
            if (rng_below(&rng, 2)) {
                memset(s.bytes + group + at, round % 2 ? 0 : 0xa5, 512);
            }
        }
        sample_scan(&s, false, false);
        expect(s.seen >= before, "a torn group took another with it");
        expect(s.damage == 0, "a torn tail called damage");
        memcpy(s.bytes + group, keep, tail);
    }
    free(keep);
    sample_free(&m);
}
END_TEST

/* A body full of frames that look right but for the salt: none comes alive when its carrier dies. */
START_TEST(forged_frames_in_a_body)
{
    uint8_t *seg = calloc(1, 64 * 1024);
    must(seg);
    uint8_t *forged = seg + SPOOL_DATA_OFFSET + SPOOL_BLOCK_BYTES;
    struct spool_frame_header h = {.payload_bytes = 64,
                                   .epoch = 5,
                                   .lsn = 2,
                                   .rows = 1,
                                   .offset = SPOOL_DATA_OFFSET + SPOOL_BLOCK_BYTES,
                                   .group = SPOOL_DATA_OFFSET + SPOOL_BLOCK_BYTES};
    spool_frame_seal(forged, &h, 0);
    struct sample s = {.bytes = seg,
                       .len = 64 * 1024,
                       .end = 60 * 1024,
                       .header = {.number = 5, .salt = 0x1234567890abcdef}};
    sample_scan(&s, false, false);
    ck_assert_uint_eq(s.seen, 0);
    s.header.salt = 0; /* the test can fail: with the right salt it is a frame */
    s.frames = 1;
    s.lsn_first = 2;
    s.offsets[0] = h.offset;
    s.sums[0] = payload_sum(slice_of(forged + SPOOL_FRAME_HEADER_BYTES, 64));
    sample_scan(&s, false, false);
    ck_assert_uint_eq(s.seen, 1);
    free(seg);
}
END_TEST

START_TEST(one_header_is_enough)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    unsigned live = model_live(&m);
    fake_file_poke(s.name, 9, 0xff);
    model_start(&m, &quiet);
    ck_assert_uint_eq(m.recovery.messages_live, live);
    model_stop(&m);
    sample_free(&m);
}
END_TEST

static unsigned damage_kinds[8];

static void count_damage(void *ctx, const struct spool_damage_report *d)
{
    (void)ctx;
    damage_kinds[d->kind]++;
}

static void count_message(void *ctx, unsigned worker, const struct spool_recovered *r)
{
    unsigned *n = ctx;
    (void)worker;
    (void)r;
    (*n)++;
}

static bool recover_raw(unsigned *messages, struct buf *error)
{
    const struct spool_options o = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN};
    const struct spool_recovery_events ev = {.message = count_message, .damage = count_damage};
    memset(damage_kinds, 0, sizeof(damage_kinds));
    *messages = 0;
    struct spool_recovery sum;
    struct spool_dir *dir = spool_dir_open("spool", &o, error);
    bool ok = dir && spool_recover(dir, &ev, messages, &sum, error);
    spool_dir_close(&dir);
    return ok;
}

START_TEST(both_headers_broken)
{
    struct model m;
    struct sample s;
    unsigned n;
    struct buf error;
    buf_init(&error, 512);
    sample_make(&m, &s);
    fake_file_poke(s.name, 9, 0xff);
    fake_file_poke(s.name, s.len - 100, 0xff);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_SEGMENT], 1);
    ck_assert_uint_eq(fake_file_count("bad-"), 1);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_SEGMENT], 0);
    buf_deinit(&error);
    sample_free(&m);
}
END_TEST

/* A segment is made at full length: what is shorter has lost something, perhaps mail that was acknowledged. */
START_TEST(cut_short)
{
    struct model m;
    struct sample s;
    unsigned n;
    struct buf error;
    buf_init(&error, 512);
    sample_make(&m, &s);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_SHORT], 0);
    ck_assert_int_eq(spool_tool_verify("spool", stderr, stderr), 0);
    int dir = disk_open_dir("spool", false);
    int fd = disk_open(dir, s.name, DISK_WRITE, false);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(disk_truncate(fd, s.len - 1), 0);
    disk_close(fd);
    disk_close(dir);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_SHORT], 1);
    ck_assert_int_eq(spool_tool_verify("spool", stderr, stderr), 1);
    buf_deinit(&error);
    sample_free(&m);
}
END_TEST

/* A damaged segment is not re-used when its mail has ended: it is kept for a person. */
START_TEST(damaged_segments_are_set_aside)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    char name[DISK_NAME_MAX];
    snprintf(name, sizeof(name), "%s", s.name);
    unsigned victim = 0;
    while (m.messages[victim].fragment_count != 0) {
        victim++;
    }
    uint32_t at = m.messages[victim].place.ref.offset + SPOOL_FRAME_HEADER_BYTES + 20;
    fake_file_poke(name, at, (uint8_t)~s.bytes[at]);
    unsigned n;
    struct buf error;
    buf_init(&error, 512);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_ge(n, model_live(&m) - 1); /* an older copy may still be there */
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_FRAME], 1);
    for (unsigned i = 0; i < m.count; i++) { /* the model must not miss what we broke */
        m.messages[i].told = MODEL_NOTHING;
        m.messages[i].gone = false;
    }
    struct model_options busy = quiet;
    busy.no_results = false;
    busy.load = 0;
    model_start(&m, &busy);
    ck_assert_uint_eq(m.damaged, 1);
    for (unsigned t = 0; t < 100 && fake_file_exists(name); t++) {
        model_run(&m, 60);
    }
    ck_assert(!fake_file_exists(name));
    ck_assert_uint_eq(fake_file_count("bad-"), 1);
    model_stop(&m);
    buf_deinit(&error);
    sample_free(&m);
}
END_TEST

START_TEST(newer_segment_is_refused)
{
    struct model m;
    struct sample s;
    unsigned n;
    struct buf error;
    buf_init(&error, 512);
    sample_make(&m, &s);
    s.header.major = SPOOL_FORMAT_MAJOR + 1;
    uint8_t block[SPOOL_BLOCK_BYTES];
    spool_segment_header_encode(&s.header, block);
    memcpy(s.bytes, block, sizeof(block));
    ck_assert(!recover_raw(&n, &error));
    struct slice e = buf_slice(&error);
    ck_assert(memmem(e.ptr, e.len, "newer", 5) != NULL);
    ck_assert(fake_file_exists(s.name));
    buf_deinit(&error);
    sample_free(&m);
}
END_TEST

START_TEST(foreign_names_and_short_files)
{
    unsigned n;
    struct buf error;
    buf_init(&error, 512);
    fake_init(8);
    fake_file_put("seg-0000000000000001.log", "", 0);
    fake_file_put("seg-0000000000000002.log", "RINGSPL\n", 8);
    fake_file_put("seg-000000000000000G.log", "x", 1);
    fake_file_put("seg-0000000000000000.log", "x", 1);
    fake_file_put("notes.txt", "x", 1);
    fake_file_put("make-0000000000000009.tmp", "x", 1);
    ck_assert(recover_raw(&n, &error));
    ck_assert_uint_eq(damage_kinds[SPOOL_DAMAGE_SEGMENT], 2);
    ck_assert(fake_file_exists("notes.txt"));
    ck_assert(!fake_file_exists("make-0000000000000009.tmp"));
    buf_deinit(&error);
    fake_deinit();
}
END_TEST

START_TEST(tools_agree)
{
    struct model m;
    struct sample s;
    sample_make(&m, &s);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_int_eq(spool_tool_verify("spool", out, out), 0);
    ck_assert_int_eq(spool_tool_ls("spool", false, out, out), 0);
    fflush(out);
    unsigned lines = 0;
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n' ? 1 : 0;
    }
    ck_assert_uint_eq(lines, 1 + model_live(&m));
    fclose(out);
    free(text);
    for (unsigned i = 0; i < m.count; i++) {
        const struct model_message *g = &m.messages[i];
        size_t want = g->inline_bytes;
        for (unsigned k = 0; k < g->fragment_count; k++) {
            want += g->fragment_bytes[k];
        }
        out = open_memstream(&text, &len);
        ck_assert_int_eq(spool_tool_cat("spool", g->id, out, out), 0);
        fclose(out);
        ck_assert_uint_eq(len, want);
        expect(g->inline_bytes == 0 ||
                   text[len - 1] == model_content(g->id, 0, g->inline_bytes)[g->inline_bytes - 1],
               "wrong content");
        free(text);
    }
    fake_file_poke(s.name, s.offsets[3] + 60, (uint8_t)~s.bytes[s.offsets[3] + 60]);
    out = open_memstream(&text, &len);
    ck_assert_int_eq(spool_tool_verify("spool", out, out), 1);
    ck_assert_int_eq(spool_tool_cat("spool", 99999, out, out), 1);
    fclose(out);
    free(text);
    sample_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool recover");
    TCase *t = tcase_create("recover");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_byte_flipped);
    tcase_add_test(t, frames_of_a_former_life);
    tcase_add_test(t, zeroed_blocks);
    tcase_add_test(t, torn_tail);
    tcase_add_test(t, forged_frames_in_a_body);
    tcase_add_test(t, one_header_is_enough);
    tcase_add_test(t, both_headers_broken);
    tcase_add_test(t, cut_short);
    tcase_add_test(t, damaged_segments_are_set_aside);
    tcase_add_test(t, newer_segment_is_refused);
    tcase_add_test(t, foreign_names_and_short_files);
    tcase_add_test(t, tools_agree);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
