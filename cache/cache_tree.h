/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_tree.h - an intrusive ordered set of nodes with unique 64-bit keys.
 *
 * A treap: a binary search tree by key that is a heap by a hash of the key, so
 * its depth is logarithmic whatever the order of insertion. The hash is salted
 * because keys are chunk numbers, which users of the filesystem choose. Nothing
 * is allocated. No locks: callers hold their own.
 */
#ifndef MENDFS_CACHE_CACHE_TREE_H
#define MENDFS_CACHE_CACHE_TREE_H

#include <stdint.h>

struct tree_node {
	struct tree_node *left;
	struct tree_node *right;
	uint64_t key;
};

/* Empty: root NULL; salt: any number, constant while the tree has nodes. */
struct cache_tree {
	struct tree_node *root;
	uint64_t salt;
};

/* key must not be in the tree. */
void cache_tree_insert(struct cache_tree *t, struct tree_node *n, uint64_t key);
/* n must be in the tree. */
void cache_tree_remove(struct cache_tree *t, struct tree_node *n);
/* The node with the smallest key that is >= key, or NULL. */
struct tree_node *cache_tree_from(const struct cache_tree *t, uint64_t key);

#endif
