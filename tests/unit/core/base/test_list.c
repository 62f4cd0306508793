/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/list.h"
#include "tests/unit/core/base/testing.h"

struct item {
    int value;
    struct list link;
};

static void fill(struct list *head, struct item *items, int count, int first)
{
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i] = (struct item){.value = first + i};
        list_push_back(head, &items[i].link);
    }
}

/* The values forwards, "1 2 3", after checking that backwards they are the same. */
static void expect(struct list *head, const char *want)
{
    char text[128] = "";
    size_t at = 0;
    int forwards = 0, backwards = 0;
    for (struct list *n = head->next; n != head; n = n->next) {
        int value = LIST_ENTRY(n, struct item, link)->value;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d", at ? " " : "", value);
        forwards++;
        ck_assert_ptr_eq(n->next->prev, n);
    }
    for (struct list *n = head->prev; n != head; n = n->prev) {
        backwards++;
    }
    ck_assert_int_eq(forwards, backwards);
    ck_assert_str_eq(text, want);
}

START_TEST(pushing_and_popping)
{
    struct list head;
    struct item items[4];
    fill(&head, items, 3, 1);
    expect(&head, "1 2 3");
    items[3] = (struct item){.value = 9};
    ck_assert(!list_linked(&items[3].link));
    list_push_front(&head, &items[3].link);
    ck_assert(list_linked(&items[3].link));
    expect(&head, "9 1 2 3");
    list_remove(&items[1].link);
    ck_assert(!list_linked(&items[1].link));
    expect(&head, "9 1 3");
    ck_assert_ptr_eq(list_pop_front(&head), &items[3].link);
    ck_assert_ptr_eq(list_first(&head), &items[0].link);
    ck_assert_ptr_eq(list_pop_front(&head), &items[0].link);
    ck_assert_ptr_eq(list_pop_front(&head), &items[2].link);
    ck_assert_ptr_null(list_pop_front(&head));
    ck_assert_ptr_null(list_first(&head));
    ck_assert(list_empty(&head));
    list_push_back(&head, &items[1].link); /* a removed node can be used again */
    expect(&head, "2");
}
END_TEST

START_TEST(splicing)
{
    static const struct {
        int to, from;
        const char *want;
    } rows[] = {{0, 0, ""}, {2, 0, "1 2"}, {0, 2, "11 12"}, {1, 1, "1 11"}, {3, 2, "1 2 3 11 12"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct list to, from;
        struct item a[3], b[3];
        fill(&to, a, rows[i].to, 1);
        fill(&from, b, rows[i].from, 11);
        list_splice_back(&to, &from);
        expect(&to, rows[i].want);
        expect(&from, "");
    }
}
END_TEST

START_TEST(removing_while_walking)
{
    for (int remove = 0; remove < 8; remove++) { /* every subset of three */
        struct list head, *it, *tmp;
        struct item items[3];
        int seen = 0;
        fill(&head, items, 3, 0);
        LIST_FOR_EACH(it, tmp, &head) {
            int value = LIST_ENTRY(it, struct item, link)->value;
            ck_assert_int_eq(value, seen++);
            if (remove & 1 << value) {
                list_remove(it);
            }
        }
        ck_assert_int_eq(seen, 3);
        for (int i = 0; i < 3; i++) {
            ck_assert(list_linked(&items[i].link) == !(remove & 1 << i));
        }
    }
}
END_TEST

static void push_twice(void *ctx)
{
    struct list *head = ctx;
    list_push_back(head, head->next);
}

static void remove_unlinked(void *ctx)
{
    (void)ctx;
    struct item i = {0};
    list_remove(&i.link);
}

START_TEST(misuse_aborts)
{
    struct list head;
    struct item items[1];
    fill(&head, items, 1, 0);
    testing_must_abort(push_twice, &head, "node->next == NULL");
    testing_must_abort(remove_unlinked, NULL, "node->next != NULL");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {pushing_and_popping, splicing, removing_while_walking, misuse_aborts};
    return testing_run("core/base/list", tests, ARRAY_COUNT(tests));
}
