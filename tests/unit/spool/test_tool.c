/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The offline tools on spools with several segments, seals, torn ends and damage: ls names what is queued and nothing
 * else, cat gives every byte, verify knows what was never acknowledged from what was lost.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

#include "core/base/id.h"
#include "spool/dir.h"
#include "spool/scan.h"
#include "spool/tool_scan.h"

/* What a tool printed; text ends with NUL. */
struct said {
    char *text;
    size_t len;
    int status;
};

static struct said tool_ls(bool json)
{
    struct said s = {0};
    FILE *out = open_memstream(&s.text, &s.len);
    s.status = spool_tool_ls("spool", json, out, out);
    fclose(out);
    return s;
}

static struct said tool_verify(void)
{
    struct said s = {0};
    FILE *out = open_memstream(&s.text, &s.len);
    s.status = spool_tool_verify("spool", out, out);
    fclose(out);
    return s;
}

static struct said tool_cat(uint64_t id)
{
    struct said s = {0};
    FILE *out = open_memstream(&s.text, &s.len);
    s.status = spool_tool_cat("spool", id, out, out);
    fclose(out);
    return s;
}

static bool says(const struct said *s, const char *text)
{
    return strstr(s->text, text) != NULL;
}

static unsigned count_of(const struct said *s, const char *text)
{
    unsigned n = 0;
    for (const char *p = strstr(s->text, text); p; p = strstr(p + 1, text)) {
        n++;
    }
    return n;
}

static void expect_status(struct said s, int status, const char *text)
{
    ck_assert_msg(s.status == status, "status %d: %s", s.status, s.text);
    ck_assert_msg(says(&s, text), "no '%s' in: %s", text, s.text);
    free(s.text);
}

/* ---- a spool ---- */

static bool is_queued(const struct model_message *g)
{
    bool queued = false;
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        queued = queued || g->rcpts[i].end != MODEL_ENDED;
    }
    return g->told == MODEL_ACKED && queued;
}

static unsigned count_queued(const struct model *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->count; i++) {
        n += is_queued(&m->messages[i]) ? 1 : 0;
    }
    return n;
}

/* Some lives with mail, results, bounces and a fault in each; the last one ends in order. */
static void spool_make(struct model *m, uint64_t seed, enum fake_fault fault)
{
    fake_init(seed);
    model_init(m, seed);
    struct model_options o = {.workers = 2, .body_max = 60 * 1024, .load = 40};
    for (unsigned life = 0; life < 3; life++) {
        bool last = life == 2;
        o.no_results = last; /* some of it stays */
        model_start(m, &o);
        fake_fault_at(120 + seed * 7 % 200, last ? FAKE_FAULT_NONE : fault, 1);
        model_run(m, 400);
        if (last) {
            model_settle(m, 20000);
        } else if (!fake_dead()) {
            fake_crash(FAKE_FAULT_CRASH);
        }
        model_stop(m);
        if (!last) {
            fake_restart();
        }
    }
}

static void spool_free(struct model *m)
{
    model_deinit(m);
    fake_deinit();
}

static void check_content(const struct model_message *g)
{
    struct said s = tool_cat(g->id);
    size_t at = 0;
    expect(s.status == TOOL_OK, "cat fails");
    for (unsigned k = 0; k < g->fragment_count; k++) {
        size_t len = g->fragment_bytes[k];
        expect(at + len <= s.len, "a fragment is missing");
        expect(memcmp(s.text + at, model_content(g->id, k + 1, len), len) == 0, "a wrong fragment");
        at += len;
    }
    expect(s.len == at + g->inline_bytes, "a wrong length");
    expect(memcmp(s.text + at, model_content(g->id, 0, g->inline_bytes), g->inline_bytes) == 0,
           "wrong content");
    free(s.text);
}

/* ---- tests ---- */

static void check_all(uint64_t seed, enum fake_fault fault)
{
    struct model m;
    spool_make(&m, seed, fault);
    unsigned want = count_queued(&m);
    ck_assert_uint_gt(want, 0);
    struct said plain = tool_ls(false), json = tool_ls(true);
    ck_assert_int_eq(plain.status, TOOL_OK);
    ck_assert_int_eq(json.status, TOOL_OK);
    ck_assert_uint_eq(count_of(&plain, "<from@example.test>\n"), want);
    ck_assert_uint_eq(count_of(&json, "\"sender\": \"from@example.test\"}"), want);
    ck_assert(json.text[0] == '[' && strcmp(json.text + json.len - 3, "\n]\n") == 0);
    for (unsigned i = 0; i < m.count; i++) {
        char id[ID_TEXT_BYTES + 1];
        (void)id_text(m.messages[i].id, id);
        expect(says(&plain, id) == is_queued(&m.messages[i]), "ls and the truth differ");
        expect(says(&json, id) == is_queued(&m.messages[i]), "ls --json and the truth differ");
        if (is_queued(&m.messages[i])) {
            check_content(&m.messages[i]);
        }
    }
    free(plain.text);
    free(json.text);
    expect_status(tool_verify(), TOOL_OK, " 0 damaged, ");
    spool_free(&m);
}

START_TEST(lists_what_is_queued)
{
    static const enum fake_fault faults[] = {FAKE_FAULT_CRASH,      FAKE_FAULT_CRASH_LOSE,
                                             FAKE_FAULT_CRASH_KEEP, FAKE_FAULT_EIO,
                                             FAKE_FAULT_EIO_LATE,   FAKE_FAULT_CANCELLED};
    check_all((uint64_t)_i + 1, faults[(size_t)_i % ARRAY_COUNT(faults)]);
}
END_TEST

/* As a crash leaves it, before anybody has recovered: what was not acknowledged is no damage. */
START_TEST(a_torn_end_is_no_damage)
{
    struct model m;
    struct model_options o = {.workers = 1, .body_max = 3000, .load = 60, .no_results = true};
    unsigned torn = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        fake_init(seed);
        model_init(&m, seed);
        model_start(&m, &o);
        fake_fault_at(40 + seed, FAKE_FAULT_CRASH, 1);
        model_run(&m, 300);
        model_stop(&m);
        fake_restart();
        struct said s = tool_verify();
        ck_assert_msg(s.status == TOOL_OK, "seed %u: %s", (unsigned)seed, s.text);
        torn += says(&s, "torn (never acknowledged)") ? 1 : 0;
        free(s.text);
        spool_free(&m);
    }
    ck_assert_uint_gt(torn, 0);
}
END_TEST

/* The first segment of an ordinary spool. */
struct sample {
    struct model m;
    const char *name;
    uint8_t *bytes;
    size_t len;
    const struct model_message *in; /* a message whose row stands there */
};

static void sample_make(struct sample *s)
{
    spool_make(&s->m, 3, FAKE_FAULT_NONE);
    s->name = fake_file_first("seg-");
    s->bytes = fake_file_bytes(s->name, &s->len);
    s->in = NULL;
    struct spool_segment_header h;
    ck_assert(spool_segment_header_decode(slice_of(s->bytes, s->len), &h));
    for (unsigned i = 0; i < s->m.count && !s->in; i++) {
        const struct model_message *g = &s->m.messages[i];
        s->in = is_queued(g) && g->place.ref.segment == h.number && g->inline_bytes > 100 ? g
                                                                                          : NULL;
    }
    ck_assert(s->in != NULL);
}

START_TEST(a_flipped_byte_is_one_message)
{
    struct sample s;
    sample_make(&s);
    unsigned want = count_queued(&s.m);
    size_t at = s.in->place.ref.offset + s.in->place.ref.bytes / 2;
    fake_file_poke(s.name, at, (uint8_t)~s.bytes[at]);
    expect_status(tool_verify(), TOOL_DAMAGE, " damaged\n");
    struct said plain = tool_ls(false);
    ck_assert_int_eq(plain.status, TOOL_DAMAGE);
    ck_assert_uint_ge(count_of(&plain, "<from@example.test>\n") + 1, want);
    free(plain.text);
    spool_free(&s.m);
}
END_TEST

START_TEST(a_place_that_cannot_be_read)
{
    struct sample s;
    sample_make(&s);
    fake_file_unreadable(s.name, s.in->place.ref.offset + 100);
    expect_status(tool_verify(), TOOL_DAMAGE, " damaged\n");
    spool_free(&s.m);
}
END_TEST

START_TEST(a_lost_fragment_is_said)
{
    struct sample s;
    sample_make(&s);
    const struct model_message *g = NULL;
    for (unsigned i = 0; i < s.m.count && !g; i++) {
        g = is_queued(&s.m.messages[i]) && s.m.messages[i].fragment_count ? &s.m.messages[i] : NULL;
    }
    ck_assert(g != NULL);
    struct spool_ref ref = g->place.fragments[0].ref;
    char name[DISK_NAME_MAX];
    spool_name_make(name, SPOOL_NAME_SEGMENT, ref.segment);
    fake_file_unreadable(name, ref.offset + ref.bytes / 2);
    expect_status(tool_cat(g->id), TOOL_DAMAGE, " is damaged\n");
    spool_free(&s.m);
}
END_TEST

START_TEST(headers)
{
    struct sample s;
    sample_make(&s);
    struct spool_segment_header h;
    uint8_t block[SPOOL_BLOCK_BYTES];
    ck_assert(spool_segment_header_decode(slice_of(s.bytes, s.len), &h));
    h.major = SPOOL_FORMAT_MAJOR + 1;
    spool_segment_header_encode(&h, block);
    memcpy(s.bytes, block, sizeof(block));
    expect_status(tool_verify(), TOOL_DAMAGE, "written by a newer ringpost");
    memset(s.bytes, 0, SPOOL_BLOCK_BYTES);
    memset(s.bytes + s.len - SPOOL_BLOCK_BYTES, 0, SPOOL_BLOCK_BYTES);
    expect_status(tool_verify(), TOOL_DAMAGE, "no readable header");
    expect_status(tool_ls(false), TOOL_DAMAGE, "no readable header");
    spool_free(&s.m);
}
END_TEST

START_TEST(what_was_set_aside_is_said)
{
    struct sample s;
    sample_make(&s);
    char name[DISK_NAME_MAX];
    spool_name_make(name, SPOOL_NAME_BAD, 9);
    fake_file_put(name, "x", 1);
    expect_status(tool_verify(), TOOL_DAMAGE, "1 segments were set aside as bad-*.log\n");
    expect_status(tool_cat(4711000), TOOL_DAMAGE, "no message");
    spool_free(&s.m);
}
END_TEST

START_TEST(an_empty_spool)
{
    fake_init(1);
    struct said s = tool_ls(true);
    ck_assert(s.status == TOOL_OK && strcmp(s.text, "[\n]\n") == 0);
    free(s.text);
    s = tool_ls(false);
    ck_assert(s.status == TOOL_OK && s.len == 0);
    free(s.text);
    expect_status(tool_verify(), TOOL_OK, "0 segments, 0 frames, 0 damaged, 0 torn\n");
    fake_deinit();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool tool");
    TCase *t = tcase_create("tool");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, lists_what_is_queued, 0, 6);
    tcase_add_test(t, a_torn_end_is_no_damage);
    tcase_add_test(t, a_flipped_byte_is_one_message);
    tcase_add_test(t, a_place_that_cannot_be_read);
    tcase_add_test(t, a_lost_fragment_is_said);
    tcase_add_test(t, headers);
    tcase_add_test(t, what_was_set_aside_is_said);
    tcase_add_test(t, an_empty_spool);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
