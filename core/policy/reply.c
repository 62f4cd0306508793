/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One pass from left to right. At each place the longest thing that has a meaning is taken: a repeated
 * enhanced code, an address, an IP, a time, an atom (letters, digits and '-' '_' '.' between them), or one
 * other character. What is written in place of it is read back as what it is: marks stand in '<' and '>',
 * which are part of nothing, and no decision depends on anything that a replacement changes. So the result
 * is a fixed point; the fuzz target checks that.
 */
#include "core/policy/reply.h"
#include "core/base/ipaddr.h"

struct reader {
    struct slice in;
    size_t at;
    char *out;
    size_t len;
    bool gap; /* a blank is due before the next character */
    bool full;
};

static bool is_alnum(char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_hex(char c)
{
    char l = ascii_lower(c);
    return ascii_is_digit(c) || (l >= 'a' && l <= 'f');
}

/* The byte n places on; a blank beyond the end. */
static char peek(const struct reader *r, size_t n)
{
    return r->at + n < r->in.len ? r->in.ptr[r->at + n] : ' ';
}

static char before(const struct reader *r)
{
    return r->at > 0 ? r->in.ptr[r->at - 1] : ' ';
}

static struct slice rest(const struct reader *r)
{
    return slice_skip(r->in, r->at);
}

static void put(struct reader *r, struct slice text)
{
    size_t need = text.len + (r->gap ? 1 : 0);
    if (r->full || need > REPLY_TEXT_BYTES - r->len) {
        r->full = true;
        return;
    }
    if (r->gap) {
        r->out[r->len++] = ' ';
        r->gap = false;
    }
    memcpy(r->out + r->len, text.ptr, text.len);
    r->len += text.len;
}

/* "<ip>", and also where the text itself has the brackets. */
static void put_mark(struct reader *r, struct slice mark, size_t taken)
{
    bool bare = !r->gap && r->len > 0 && r->out[r->len - 1] == '<' && peek(r, taken) == '>';
    put(r, bare ? slice_of(mark.ptr + 1, mark.len - 2) : mark);
    r->at += taken;
}

/* ---- what may stand at a place: each returns the bytes it takes, 0: it does not ----------------- */

/* An enhanced code of RFC 3463 2: subjects are 0 to 7. Digits alone: "4.7.0". */
static size_t enhanced_len(struct slice s)
{
    size_t digits[3] = {0, 0, 0};
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        if (part > 0) {
            if (at >= s.len || s.ptr[at] != '.') {
                return 0;
            }
            at++;
        }
        while (at < s.len && ascii_is_digit(s.ptr[at]) && digits[part] < 4) {
            digits[part]++;
            at++;
        }
    }
    bool class = digits[0] == 1 && (s.ptr[0] == '2' || s.ptr[0] == '4' || s.ptr[0] == '5');
    bool subject = digits[1] == 1 && s.ptr[2] <= '7';
    return class && subject && digits[2] >= 1 && digits[2] <= 3 ? at : 0;
}

static size_t digits_len(struct slice s)
{
    size_t n = 0;
    while (n < s.len && ascii_is_digit(s.ptr[n])) {
        n++;
    }
    return n;
}

/* With what may be around it: "550-5.1.1", "550 5.1.1", "(#5.1.1)", "[5.1.1]", "5.1.1:". Only as a word of
 * its own: taken out of a longer one, its neighbours would become something else. */
static size_t repeated_len(const struct reader *r)
{
    struct slice s = rest(r);
    size_t at = 0;
    char close = 0;
    if (!is_blank(before(r))) {
        return 0;
    }
    if (s.len > 0 && (s.ptr[0] == '(' || s.ptr[0] == '[')) {
        close = s.ptr[0] == '(' ? ')' : ']';
        at++;
    }
    if (at < s.len && s.ptr[at] == '#') {
        at++;
    }
    if (at == 0 && digits_len(s) == 3 && s.len > 3 && (s.ptr[3] == '-' || s.ptr[3] == ' ')) {
        at = 4;
    }
    size_t n = enhanced_len(slice_skip(s, at));
    if (n == 0) {
        return 0;
    }
    at += n;
    if (close) {
        if (at >= s.len || s.ptr[at] != close) {
            return 0;
        }
        at++;
    }
    if (at < s.len && (s.ptr[at] == ':' || s.ptr[at] == ',' || s.ptr[at] == ';')) {
        at++;
    }
    return at >= s.len || is_blank(s.ptr[at]) ? at : 0;
}

static bool is_local_part(char c)
{
    return is_alnum(c) || (c > ' ' && c < 0x7f && memchr("!#$%&'*+/=?^_`{|}~.-", c, 20));
}

/* RFC 5321 4.1.2, without quoted strings and literals: their parts are replaced as what they are. */
static size_t address_len(struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_local_part(s.ptr[n])) {
        n++;
    }
    if (n == 0 || n + 1 >= s.len || s.ptr[n] != '@' || !is_alnum(s.ptr[n + 1])) {
        return 0;
    }
    size_t end = n + 1;
    for (size_t i = n + 1; i < s.len && (is_alnum(s.ptr[i]) || s.ptr[i] == '.' || s.ptr[i] == '-');
         i++) {
        if (is_alnum(s.ptr[i])) {
            end = i + 1;
        }
    }
    return end;
}

/* The longest one that begins here and ends in a digit with none behind it. "::" is no end, and no end depends
 * on what stands further on: either may be replaced. */
static size_t ip6_len(struct slice s)
{
    struct ip_addr addr;
    size_t n = 0;
    while (n < s.len && n < IP_TEXT_MAX &&
           (is_hex(s.ptr[n]) || s.ptr[n] == ':' || s.ptr[n] == '.')) {
        n++;
    }
    if (slice_find_byte(slice_first(s, n), ':') < 0) {
        return 0;
    }
    for (; n >= 3; n--) {
        bool end = is_hex(s.ptr[n - 1]) && (n >= s.len || !is_alnum(s.ptr[n]));
        struct slice text = slice_first(s, n);
        if (end && slice_find_byte(text, ':') >= 0 && ip_addr_parse(text, &addr)) {
            return n;
        }
    }
    return 0;
}

/* Followed by anything but more digits: "192.0.2.1.zen.example" begins with one, "1.2.3.4567" does not. */
static size_t ip4_len(struct slice s)
{
    struct ip_addr addr;
    size_t n = 0;
    int dots = 0;
    while (n < s.len && n < 15 && (ascii_is_digit(s.ptr[n]) || (s.ptr[n] == '.' && dots < 3))) {
        dots += s.ptr[n++] == '.';
    }
    bool whole = n >= s.len || !(is_alnum(s.ptr[n]) || s.ptr[n] == '-' || s.ptr[n] == '_');
    return dots == 3 && whole && ip_addr_parse(slice_first(s, n), &addr) ? n : 0;
}

/* "2026-11-21T11:25:00.123Z": digits with 'T' between date and time. */
static size_t time_len(struct slice s)
{
    static const char shape[] = "0000-00-00T00:00:00";
    size_t n = sizeof(shape) - 1;
    if (s.len < n) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        bool same = shape[i] == '0' ? ascii_is_digit(s.ptr[i]) : s.ptr[i] == shape[i];
        if (!same) {
            return 0;
        }
    }
    if (n < s.len && s.ptr[n] == '.') {
        size_t fraction = digits_len(slice_skip(s, n + 1));
        n += fraction ? 1 + fraction : 0;
    }
    if (n < s.len && s.ptr[n] == 'Z') {
        n++;
    }
    return n >= s.len || !is_alnum(s.ptr[n]) ? n : 0;
}

/* ---- atoms --------------------------------------------------------------------------------------- */

/* Letters and digits, with '-' and '_' between them. */
static size_t atom_len(struct slice s)
{
    size_t end = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (is_alnum(c)) {
            end = i + 1;
        } else if (c != '-' && c != '_') {
            break;
        }
    }
    return end;
}

static bool is_label(char c)
{
    return is_alnum(c) || c == '-' || c == '_';
}

/* As many labels as make a host's name: two and more, the last of letters only. What stands behind has no part
 * in it, for it may be replaced. */
static size_t host_len(struct slice s)
{
    size_t end = 0;
    size_t label = 0; /* where it begins */
    bool letters = true;
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && is_label(s.ptr[i])) {
            letters = letters && ascii_is_alpha(s.ptr[i]);
            continue;
        }
        if (letters && label > 0 && i - label >= 2) {
            end = i;
        }
        if (i == label || i == s.len || s.ptr[i] != '.') {
            break; /* also at two dots: they are in no name */
        }
        label = i + 1;
        letters = true;
    }
    return end;
}

struct shape {
    size_t digits;
    size_t letters;
    size_t turns; /* from letters to digits and back */
    bool hex;
};

static struct shape shape_of(struct slice atom)
{
    struct shape s = {.hex = true};
    char last = 0;
    for (size_t i = 0; i < atom.len; i++) {
        char c = atom.ptr[i];
        if (!is_alnum(c)) {
            continue;
        }
        char kind = ascii_is_digit(c) ? '0' : 'a';
        s.digits += kind == '0';
        s.letters += kind == 'a';
        s.hex = s.hex && is_hex(c);
        s.turns += last && kind != last;
        last = kind;
    }
    return s;
}

/* Codes that receivers put into their texts are short and have their digits at one end. */
static bool is_random(struct slice atom, const struct shape *s)
{
    size_t len = s->digits + s->letters;
    if (s->digits == 0) {
        return s->hex && len >= 16;
    }
    return (s->hex && len >= 8) || (len >= 10 && (s->turns >= 3 || s->digits >= 4)) ||
           (len >= 6 && ascii_is_digit(atom.ptr[0]) && s->turns >= 2) ||
           (atom.len >= 24 && s->turns >= 2);
}

/* "300s", "10MB": a number with its unit. */
static bool is_amount(struct slice unit)
{
    static const struct slice units[] = {
        SLICE_INIT("s"),     SLICE_INIT("sec"),   SLICE_INIT("secs"), SLICE_INIT("seconds"),
        SLICE_INIT("m"),     SLICE_INIT("min"),   SLICE_INIT("mins"), SLICE_INIT("minutes"),
        SLICE_INIT("h"),     SLICE_INIT("hours"), SLICE_INIT("d"),    SLICE_INIT("days"),
        SLICE_INIT("ms"),    SLICE_INIT("b"),     SLICE_INIT("k"),    SLICE_INIT("kb"),
        SLICE_INIT("mb"),    SLICE_INIT("gb"),    SLICE_INIT("kib"),  SLICE_INIT("mib"),
        SLICE_INIT("bytes"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (slice_eq_nocase(unit, units[i])) {
            return true;
        }
    }
    return false;
}

static void host_put(struct reader *r, struct slice host)
{
    const size_t begin = r->len;
    size_t labels = 1;
    for (size_t i = 0; i < host.len; i++) {
        labels += host.ptr[i] == '.';
    }
    r->at += host.len;
    while (labels > 0) {
        struct slice label = slice_cut(&host, '.');
        struct shape shape = shape_of(label);
        bool varies = shape.digits > 0 || is_random(label, &shape);
        put(r, labels > 2 && varies ? SLICE("*") : label);
        if (--labels > 0) {
            put(r, SLICE("."));
        }
    }
    if (r->full) {
        r->len = begin; /* half a name would be read as something else */
    }
}

static void atom_put(struct reader *r, struct slice atom)
{
    struct shape s = shape_of(atom);
    size_t number = digits_len(atom);
    if (s.letters == 0) {
        /* "/answer/168383" and "AUP#1310" name a cause. */
        bool name = before(r) == '#' || (before(r) == '/' && atom.len <= 8);
        if (name) {
            put(r, atom);
            r->at += atom.len;
        } else {
            put_mark(r, SLICE("<n>"), atom.len);
        }
    } else if (is_random(atom, &s)) {
        put_mark(r, SLICE("<id>"), atom.len);
    } else if (number > 0 && is_amount(slice_skip(atom, number))) {
        put_mark(r, SLICE("<n>"), number);
    } else {
        put(r, atom);
        r->at += atom.len;
    }
}

/* What begins with a letter or a digit. */
static void word_put(struct reader *r)
{
    struct slice s = rest(r);
    size_t n = address_len(s);
    if (n) {
        put_mark(r, SLICE("<address>"), n);
        return;
    }
    n = ip6_len(s);
    n = n ? n : ip4_len(s);
    if (n) {
        put_mark(r, SLICE("<ip>"), n);
        return;
    }
    n = time_len(s);
    if (n) {
        put_mark(r, SLICE("<time>"), n);
        return;
    }
    n = host_len(s);
    if (n) {
        host_put(r, slice_first(s, n));
        return;
    }
    atom_put(r, slice_first(s, atom_len(s)));
}

size_t reply_normalise(char dst[REPLY_TEXT_BYTES], struct slice text)
{
    struct reader r = {.in = slice_first(text, REPLY_TEXT_BYTES), .out = dst};
    while (r.at < r.in.len && !r.full) {
        size_t n = 0;
        if (is_blank(peek(&r, 0))) {
            r.gap = r.len > 0;
            r.at++;
        } else if ((n = repeated_len(&r)) > 0) {
            r.at += n;
        } else if (is_alnum(peek(&r, 0))) {
            word_put(&r);
        } else if (peek(&r, 0) == ':' && (n = ip6_len(rest(&r))) > 0) {
            put_mark(&r, SLICE("<ip>"), n);
        } else {
            put(&r, slice_of(r.in.ptr + r.at, 1));
            r.at++;
        }
    }
    must(r.len <= REPLY_TEXT_BYTES);
    return r.len;
}

bool reply_sample_parse(struct slice line, enum outcome_stage stage, struct outcome *out)
{
    struct slice text = slice_trim(line);
    uint64_t code = 0;
    if (text.len < 3 || !slice_to_u64(slice_first(text, 3), &code) || code < 200 || code > 599 ||
        (text.len > 3 && text.ptr[3] != ' ' && text.ptr[3] != '-')) {
        return false;
    }
    struct outcome o = {.kind = outcome_kind_of_code((uint16_t)code),
                        .scope = OUTCOME_RECIPIENT,
                        .stage = stage,
                        .remote = true,
                        .code = (uint16_t)code};
    text = slice_trim(slice_skip(text, 4));
    size_t n = enhanced_parse(text, &o.enhanced);
    if (n > 0 && o.enhanced.cls != code / 100) {
        n = 0; /* RFC 2034 4: it stays in the text */
    }
    if (n == 0) {
        o.enhanced = (struct enhanced){.cls = (uint8_t)(code / 100)};
    }
    o.text = slice_trim(slice_skip(text, n));
    *out = o;
    return true;
}
