/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bytes of spool/format.h, pinned: what these tests say must stay readable for ever.
 */
#include "core/base/crc32c.h"
#include "spool/format.h"

#include <check.h>
#include <stdlib.h>

static uint64_t number_at(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = bytes; i-- > 0;) {
        v = v << 8 | p[i];
    }
    return v;
}

START_TEST(segment_header)
{
    uint8_t b[SPOOL_BLOCK_BYTES];
    const struct spool_segment_header h = {.major = 1,
                                           .minor = 2,
                                           .lineage = 3,
                                           .number = 0x1122334455,
                                           .created_us = 77,
                                           .segment_bytes = 64 << 20,
                                           .salt = 0x8877665544332211};
    spool_segment_header_encode(&h, b);
    ck_assert_mem_eq(b, "RINGSPL\n", 8);
    static const struct {
        unsigned at, bytes;
        uint64_t value;
    } rows[] = {{8, 2, 1},
                {10, 2, 2},
                {12, 4, 3},
                {16, 8, 0x1122334455},
                {24, 8, 77},
                {32, 8, 64 << 20},
                {40, 8, 0x8877665544332211},
                {48, 8, 0},
                {4084, 8, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_uint_eq(number_at(b + rows[i].at, rows[i].bytes), rows[i].value);
    }
    ck_assert_uint_eq(number_at(b + 4092, 4), crc32c(0, b, 4092));
    struct spool_segment_header out;
    ck_assert(spool_segment_header_decode(slice_of(b, sizeof(b)), &out));
    ck_assert_mem_eq(&out, &h, sizeof(h));
    for (size_t i = 0; i < sizeof(b); i += 5) {
        b[i] ^= 1;
        ck_assert(!spool_segment_header_decode(slice_of(b, sizeof(b)), &out));
        b[i] ^= 1;
    }
    ck_assert(!spool_segment_header_decode(slice_of(b, sizeof(b) - 1), &out));
}
END_TEST

START_TEST(header_ranges)
{
    static const struct spool_segment_header bad[] = {
        {.major = 1, .number = 1, .segment_bytes = SPOOL_SEGMENT_BYTES_MIN - SPOOL_BLOCK_BYTES},
        {.major = 1, .number = 1, .segment_bytes = (uint64_t)SPOOL_SEGMENT_BYTES_MAX + 4096},
        {.major = 1, .number = 1, .segment_bytes = SPOOL_SEGMENT_BYTES_MIN + 1},
        {.major = 1,
         .number = 1,
         .segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
         .lineage = LIMIT_WORKERS},
    };
    uint8_t b[SPOOL_BLOCK_BYTES];
    struct spool_segment_header out;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        spool_segment_header_encode(&bad[i], b);
        ck_assert(!spool_segment_header_decode(slice_of(b, sizeof(b)), &out));
    }
}
END_TEST

START_TEST(frame)
{
    uint8_t b[96] = {0};
    memcpy(b + 48, "0123456789", 10);
    struct spool_frame_header h = {.payload_bytes = 10,
                                   .epoch = 9,
                                   .lsn = 8,
                                   .offset = 4104,
                                   .group = 4096,
                                   .rows = 2,
                                   .flags = 0};
    spool_frame_seal(b, &h, 5);
    ck_assert_mem_eq(b, "RPF1", 4);
    uint8_t salt[8] = {5};
    ck_assert_uint_eq(number_at(b + 4, 4), crc32c(crc32c(0, salt, 8), b + 8, 40));
    ck_assert_uint_eq(number_at(b + 8, 4), crc32c(crc32c(0, salt, 8), b + 48, 10));
    ck_assert_uint_eq(number_at(b + 12, 4), 10);
    ck_assert_uint_eq(number_at(b + 16, 8), 9);
    ck_assert_uint_eq(number_at(b + 24, 8), 8);
    ck_assert_uint_eq(number_at(b + 32, 4), 4104);
    ck_assert_uint_eq(number_at(b + 36, 4), 4096);
    ck_assert_uint_eq(number_at(b + 40, 2), 2);
    ck_assert_uint_eq(spool_frame_bytes(10), 64);
    struct spool_frame_header out;
    struct slice p;
    struct slice all = slice_of(b, sizeof(b));
    ck_assert(spool_frame_check(all, 9, 5, 4104, &out, &p) == SPOOL_FRAME_OK);
    ck_assert(slice_eq(p, SLICE("0123456789")));
    ck_assert(spool_frame_check(all, 8, 5, 4104, &out, &p) == SPOOL_FRAME_NONE);
    ck_assert(spool_frame_check(all, 9, 6, 4104, &out, &p) == SPOOL_FRAME_NONE);
    ck_assert(spool_frame_check(all, 9, 5, 4112, &out, &p) == SPOOL_FRAME_NONE);
    ck_assert(spool_frame_check(slice_first(all, 63), 9, 5, 4104, &out, &p) == SPOOL_FRAME_NONE);
    b[50] ^= 4;
    ck_assert(spool_frame_check(all, 9, 5, 4104, &out, &p) == SPOOL_FRAME_BAD_PAYLOAD);
    ck_assert_uint_eq(out.payload_bytes, 10);
}
END_TEST

static const struct spool_rcpt two[] = {
    {.address = SLICE_INIT("a@b.test"),
     .orcpt = SLICE_INIT("rfc822;a"),
     .notify = 3,
     .status = SPOOL_RCPT_BOUNCED,
     .attempts = 4,
     .next_due_ms = 5},
    {.address = SLICE_INIT("c@d.test"), .status = SPOOL_RCPT_QUEUED},
};
static const struct spool_fragment_ref one_fragment[] = {{{11, 4096, 160}, 100}};

static struct spool_message sample(struct iovec *body)
{
    *body = (struct iovec){"content", 7};
    return (struct spool_message){.id = 0x0102030405060708,
                                  .arrival_us = 21,
                                  .flags = 22,
                                  .ret = 2,
                                  .header_bytes = 6,
                                  .body_bytes = 107,
                                  .sender = SLICE("s@s.test"),
                                  .envid = SLICE("env"),
                                  .meta = SLICE("m"),
                                  .rcpts = two,
                                  .rcpt_count = 2,
                                  .fragments = one_fragment,
                                  .fragment_count = 1,
                                  .body = body,
                                  .body_count = 1};
}

START_TEST(message_row)
{
    uint8_t b[512];
    struct iovec body;
    struct spool_message m = sample(&body);
    size_t n = spool_message_encode(b, &m);
    ck_assert_uint_eq(n, spool_message_bytes(&m));
    static const struct {
        unsigned at, bytes;
        uint64_t value;
    } rows[] = {{0, 2, 1},    {2, 2, 0},   {8, 8, 0x0102030405060708},
                {16, 8, 21},  {24, 4, 22}, {28, 4, 6},
                {32, 8, 107}, {40, 4, 2},  {44, 4, 1},
                {48, 4, 7},   {52, 2, 8},  {54, 2, 3},
                {56, 2, 1},   {58, 1, 2}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_uint_eq(number_at(b + rows[i].at, rows[i].bytes), rows[i].value);
    }
    ck_assert_uint_eq(number_at(b + 4, 4), n - 8);
    ck_assert_mem_eq(b + 64, "s@s.testenvm", 12);
    ck_assert_uint_eq(number_at(b + 76, 8), 11);
    ck_assert_uint_eq(number_at(b + 92, 4), 100);
    ck_assert_uint_eq(number_at(b + 96, 2), 8);
    ck_assert_mem_eq(b + n - 7, "content", 7);

    struct slice rest = slice_of(b, n);
    struct spool_row row;
    struct spool_message_view v;
    ck_assert(spool_row_next(&rest, &row) && rest.len == 0 && row.type == SPOOL_ROW_MESSAGE);
    ck_assert(spool_message_decode(row.payload, &v));
    ck_assert(v.id == m.id && v.rcpt_count == 2 && v.fragment_count == 1 && v.ret == 2);
    ck_assert(slice_eq(v.sender, m.sender) && slice_eq(v.envid, m.envid) &&
              slice_eq(v.meta, m.meta));
    ck_assert(slice_eq(v.body, SLICE("content")));
    struct spool_rcpt r;
    ck_assert(spool_message_next_rcpt(&v.rcpts, &r));
    ck_assert(slice_eq(r.address, two[0].address) && slice_eq(r.orcpt, two[0].orcpt));
    ck_assert(r.status == SPOOL_RCPT_BOUNCED && r.attempts == 4 && r.next_due_ms == 5 &&
              r.notify == 3);
    ck_assert(spool_message_next_rcpt(&v.rcpts, &r) && r.orcpt.len == 0);
    ck_assert(!spool_message_next_rcpt(&v.rcpts, &r));
    struct spool_fragment_ref f;
    ck_assert(spool_message_next_fragment(&v.fragments, &f));
    ck_assert_mem_eq(&f.ref, &one_fragment[0].ref, sizeof(f.ref));
}
END_TEST

/* Cut anywhere, or with any count changed, it is refused. */
START_TEST(message_row_malformed)
{
    uint8_t b[512];
    struct iovec body;
    struct spool_message m = sample(&body);
    size_t n = spool_message_encode(b, &m);
    struct spool_message_view v;
    for (size_t i = 8; i < n; i++) {
        ck_assert(!spool_message_decode(slice_of(b + 8, i - 8), &v));
    }
    static const unsigned counts[] = {32, 40, 44, 48, 52, 54, 56, 96, 98};
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        static const uint8_t values[] = {0x01, 0xff, 0x7f};
        for (size_t k = 0; k < ARRAY_COUNT(values); k++) {
            uint8_t was = b[counts[i]];
            b[counts[i]] = (uint8_t)(was + values[k]);
            ck_assert_msg(!spool_message_decode(slice_of(b + 8, n - 8), &v), "count at %u",
                          counts[i]);
            b[counts[i]] = was;
        }
    }
    b[101] = SPOOL_RCPT_STATUS_COUNT;
    ck_assert(!spool_message_decode(slice_of(b + 8, n - 8), &v));
}
END_TEST

START_TEST(other_rows)
{
    uint8_t b[256];
    const struct spool_result r = {.id = 7,
                                   .rcpt = 1,
                                   .kind = SPOOL_RESULT_DEFERRED,
                                   .attempts = 3,
                                   .next_due_ms = 99,
                                   .at_us = 100,
                                   .code = 451,
                                   .enhanced_class = 4,
                                   .enhanced_subject = 7,
                                   .enhanced_detail = 1,
                                   .text = SLICE("later")};
    size_t n = spool_result_encode(b, &r);
    ck_assert_uint_eq(n, spool_result_bytes(&r));
    static const struct {
        unsigned at, bytes;
        uint64_t value;
    } rows[] = {{0, 2, 3},  {4, 4, 45},   {8, 8, 7},   {16, 4, 1}, {20, 1, 5},
                {21, 1, 4}, {22, 2, 451}, {24, 2, 7},  {26, 2, 1}, {28, 2, 3},
                {30, 2, 5}, {32, 8, 99},  {40, 8, 100}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_uint_eq(number_at(b + rows[i].at, rows[i].bytes), rows[i].value);
    }
    struct spool_result out;
    ck_assert(spool_result_decode(slice_of(b + 8, n - 8), &out));
    ck_assert(out.code == 451 && out.kind == SPOOL_RESULT_DEFERRED && slice_eq(out.text, r.text));
    for (size_t i = 0; i < n - 8; i++) {
        ck_assert(!spool_result_decode(slice_of(b + 8, i), &out));
    }
    b[20] = 6;
    ck_assert(!spool_result_decode(slice_of(b + 8, n - 8), &out));
    b[20] = 0;
    ck_assert(!spool_result_decode(slice_of(b + 8, n - 8), &out));

    n = spool_fragment_encode(b, 5, 6, SLICE("piece"));
    ck_assert_uint_eq(n, spool_fragment_bytes(5));
    struct spool_fragment_view f;
    ck_assert(spool_fragment_decode(slice_of(b + 8, n - 8), &f));
    ck_assert(f.id == 5 && f.index == 6 && slice_eq(f.body, SLICE("piece")));
    ck_assert(!spool_fragment_decode(slice_of(b + 8, 11), &f));

    n = spool_seal_encode(b, (struct spool_seal){3, 8192, true});
    ck_assert_uint_eq(n, 24);
    struct spool_seal s;
    ck_assert(spool_seal_decode(slice_of(b + 8, 16), &s));
    ck_assert(s.segment == 3 && s.offset == 8192 && s.complete);
    ck_assert(!spool_seal_decode(slice_of(b + 8, 15), &s));
}
END_TEST

START_TEST(memo_row)
{
    uint8_t b[SPOOL_ROW_HEADER_BYTES + SPOOL_STATE_FIXED_BYTES + 16];
    const struct spool_memo memo = {.kind = 7, .key = SLICE("key"), .value = SLICE("value")};
    size_t n = spool_memo_encode(b, &memo, 0x1122334455667788);
    ck_assert_uint_eq(n, spool_memo_bytes(&memo));
    ck_assert_uint_eq(n, 8 + 12 + 3 + 5);
    static const struct {
        unsigned at, bytes;
        uint64_t value;
    } rows[] = {{0, 2, 5},  {4, 4, 20}, {8, 8, 0x1122334455667788},
                {16, 1, 7}, {17, 1, 3}, {18, 2, 5}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_uint_eq(number_at(b + rows[i].at, rows[i].bytes), rows[i].value);
    }
    ck_assert_mem_eq(b + 20, "keyvalue", 8);
    struct slice payload = slice_of(b + 8, n - 8);
    struct spool_memo out;
    uint64_t sequence;
    ck_assert(spool_memo_decode(payload, &out, &sequence) && sequence == 0x1122334455667788);
    ck_assert(out.kind == 7 && slice_eq(out.key, memo.key) && slice_eq(out.value, memo.value));
    for (size_t len = 0; len < payload.len; len++) {
        ck_assert(!spool_memo_decode(slice_first(payload, len), &out, &sequence));
    }
    ck_assert(!spool_memo_decode(slice_of(b + 8, n - 7), &out, &sequence)); /* a byte too many */
    b[17] = 0;                                                              /* no key */
    b[18] = 8;
    ck_assert(!spool_memo_decode(payload, &out, &sequence));
}
END_TEST

START_TEST(rows_of_tomorrow_are_skipped)
{
    uint8_t b[128] = {0x99, 0x01, 0, 0, 3, 0, 0, 0, 'x', 'y', 'z'};
    size_t n = 11 + spool_seal_encode(b + 11, (struct spool_seal){3, 8192, false});
    struct slice rest = slice_of(b, n);
    struct spool_row row;
    ck_assert(spool_row_next(&rest, &row) && row.type == 0x199 && row.payload.len == 3);
    struct buf line;
    buf_init(&line, 256);
    ck_assert(spool_row_describe(&line, &row));
    ck_assert(slice_eq(spool_row_name(row.type), SLICE("unknown")));
    ck_assert(spool_row_next(&rest, &row) && row.type == SPOOL_ROW_SEAL);
    buf_clear(&line);
    ck_assert(spool_row_describe(&line, &row));
    ck_assert(slice_eq(buf_slice(&line), SLICE("seal segment=0000000000000003 offset=8192")));
    ck_assert(!spool_row_next(&rest, &row) && rest.len == 0);
    rest = slice_of(b, 10);
    ck_assert(!spool_row_next(&rest, &row) && rest.len == 10);
    buf_deinit(&line);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool format");
    TCase *t = tcase_create("format");
    tcase_add_test(t, segment_header);
    tcase_add_test(t, header_ranges);
    tcase_add_test(t, frame);
    tcase_add_test(t, message_row);
    tcase_add_test(t, message_row_malformed);
    tcase_add_test(t, other_rows);
    tcase_add_test(t, memo_row);
    tcase_add_test(t, rows_of_tomorrow_are_skipped);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
