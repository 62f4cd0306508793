/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * list - intrusive doubly linked list
 *
 * Purpose:   membership without allocation. A node is in at most one list; an unlinked node has
 *            next == NULL.
 * Owner:     head and nodes are embedded in their owners. Thread: the owner's.
 */
#ifndef RINGPOST_BASE_LIST_H
#define RINGPOST_BASE_LIST_H

#include "core/base/must.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list *node)
{
    return node->next != NULL;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    must(node->next == NULL);
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    must(node->next == NULL);
    node->next = head->next;
    node->prev = head;
    head->next->prev = node; /* NOLINT(clang-analyzer-core.NullDereference): a list is a ring */
    head->next = node;
}

static inline void list_remove(struct list *node)
{
    must(node->next != NULL);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static inline struct list *list_first(const struct list *head)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that list_remove changes head */
    return head->next == head ? NULL : head->next;
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *node = list_first(head);
    if (node) {
        list_remove(node);
    }
    return node;
}

/* Moves all of `from` to the end of `to`; `from` becomes empty. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_ENTRY(node, type, member) container_of(node, type, member)

/* The body may remove `it` but no other node. `tmp` is a struct list *. */
#define LIST_FOR_EACH(it, tmp, head)                                                               \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

#endif
