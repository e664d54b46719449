/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants:
 * T1  In-order traversal gives strictly rising keys.
 * T2  No node has a smaller priority than its children.
 *
 * Insertion walks down to where the new node's priority belongs and splits what
 * is below by key; removal merges the two subtrees (Aragon and Seidel's treap,
 * without parent pointers or recursion).
 */
#include "cache/cache_tree.h"

#include <stddef.h>

#include "base/must.h"

/* The finalizer of splitmix64. */
static uint64_t priority(const struct cache_tree *t, uint64_t key)
{
	uint64_t x = key ^ t->salt;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Keys below `key` go to *less, the others to *rest. */
static void split(struct tree_node *n, uint64_t key, struct tree_node **less,
		  struct tree_node **rest)
{
	while (n) {
		if (n->key < key) {
			*less = n;
			less = &n->right;
			n = n->right;
		} else {
			*rest = n;
			rest = &n->left;
			n = n->left;
		}
	}
	*less = NULL;
	*rest = NULL;
}

/* Every key of a is below every key of b. */
static struct tree_node *merge(const struct cache_tree *t, struct tree_node *a,
			       struct tree_node *b)
{
	struct tree_node *sum, **link = &sum;

	while (a && b) {
		if (priority(t, a->key) > priority(t, b->key)) {
			*link = a;
			link = &a->right;
			a = a->right;
		} else {
			*link = b;
			link = &b->left;
			b = b->left;
		}
	}
	*link = a ? a : b;
	return sum;
}

static struct tree_node **child(struct tree_node *n, uint64_t key)
{
	return key < n->key ? &n->left : &n->right;
}

void cache_tree_insert(struct cache_tree *t, struct tree_node *n, uint64_t key)
{
	struct tree_node **link = &t->root;
	uint64_t mine = priority(t, key);

	while (*link && priority(t, (*link)->key) > mine)
		link = child(*link, key);
	/* Equal priorities are equal keys: the mixing is a bijection. */
	MUST(!*link || (*link)->key != key);
	n->key = key;
	split(*link, key, &n->left, &n->right);
	*link = n;
}

void cache_tree_remove(struct cache_tree *t, struct tree_node *n)
{
	struct tree_node **link = &t->root;

	while (*link && *link != n)
		link = child(*link, n->key);
	MUST(*link);
	*link = merge(t, n->left, n->right);
}

struct tree_node *cache_tree_from(const struct cache_tree *t, uint64_t key)
{
	struct tree_node *n = t->root, *best = NULL;

	while (n) {
		if (n->key >= key) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}
