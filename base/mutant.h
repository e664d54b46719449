/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutant.h - deliberate bugs, to prove that the tests would see them.
 *
 * A place that keeps an invariant of ARCHITECTURE.md asks MUTANT(NAME) and does
 * the wrong thing when the answer is yes:
 *
 *     if (!MUTANT(SKIP_FOLDER_SYNC))
 *             rc = dir_sync_name(d, f->name);
 *
 * The answer is the constant 0 unless the engine is compiled with
 * MENDFS_MUTANTS, which only the simulation does; then it is yes for the one
 * mutant that was chosen, by the environment (MENDFS_MUTANT=NAME, read when the
 * program starts; an unknown name ends it) or by mutant_choose. tests/sim runs
 * every mutant and fails if one of them is not noticed.
 */
#ifndef MENDFS_BASE_MUTANT_H
#define MENDFS_BASE_MUTANT_H

/* X(name, the invariants it breaks, what it does) */
#define MUTANT_TABLE(X)                                                        \
	/* what is named is there */                                           \
	X(SKIP_FOLDER_SYNC, "C1 C2",                                           \
	  "the folder of a new object is not synced")                          \
	X(SKIP_DATA_SYNC, "C1", "fragments of data segments are not synced")   \
	X(PUBLISH_EARLY, "C1",                                                 \
	  "superblocks name index segments not yet durable")                   \
	X(STRIPE_WITHOUT_LAST, "C1",                                           \
	  "a stripe counts without its last fragment")                         \
	/* copies of records */                                                \
	X(JOURNAL_ON_M, "C2", "journals on m members instead of m+1")          \
	X(ACK_EARLY, "C2", "fsync returns after the first of the copies")      \
	X(MOVE_WITHOUT_OLD, "C2",                                              \
	  "a new copy of the journal gets its last file only")                 \
	X(REPROTECT_TAIL, "C2", "recovery stripes only the last open segment") \
	X(SUPERBLOCK_BY_MAJORITY, "C2",                                        \
	  "the superblock that most folders have wins")                        \
	/* what must stay */                                                   \
	X(RECYCLE_EARLY, "C3", "a journal file goes one record too early")     \
	X(RECYCLE_OPEN_BYTES, "C3",                                            \
	  "a journal file goes with an open segment's bytes")                  \
	X(FORGET_AT_SEAL, "C4", "records lack bytes that a stripe is to hold") \
	X(DELETE_EARLY, "C5", "segments go before their removal is durable")   \
	/* what is believed */                                                 \
	X(UNREACHABLE_IS_MISSING, "C6",                                        \
	  "journals that cannot be read count as read")                        \
	X(EPOCH_WITH_TOO_FEW, "C6",                                            \
	  "an epoch begins with fewer than n-m folders")                       \
	X(TRUST_SECOND_SYNC, "C7", "a failed sync is repeated and believed")   \
	X(FORGET_STICKY, "C8", "after a lost record things go on")             \
	/* positions */                                                        \
	X(SEAL_AGAIN, "C9", "a failed append is repeated at the same place")   \
	X(REUSE_SALT, "C9", "a recycled journal file keeps its salt")          \
	X(APPEND_RECOVERED, "C9",                                              \
	  "a recovered segment goes on under its own key")                     \
	/* replay */                                                           \
	X(CUT_BETWEEN, "C10",                                                  \
	  "a checkpoint is cut after the record's lock hold")                  \
	X(SKIP_ROW_COUNT, "C10", "replay does not compare row counts")         \
	X(DROP_EPOCH_CHECK, "C10", "records of any epoch are replayed")        \
	X(INDEX_WITHOUT_MARK, "C10",                                           \
	  "the local index is used without its clean mark")                    \
	/* files */                                                            \
	X(SIZE_BEFORE_EXTENTS, "C11", "a size is stored before its data")      \
	X(EVICT_DIRTY, "C12", "memory is made by forgetting dirty chunks")     \
	X(EXTENTS_AFTER_TRUNCATE, "C12", "write-back enters what was cut off") \
	X(STALE_FILL, "C12", "a read keeps what was cut off")

enum mutant {
	MUTANT_NONE,
#define MUTANT_ENUM_(name, breaks, what) MUTANT_##name,
	MUTANT_TABLE(MUTANT_ENUM_)
#undef MUTANT_ENUM_
	MUTANTS
};

#ifdef MENDFS_MUTANTS
extern enum mutant mutant_chosen;
#define MUTANT(name) (__builtin_expect(mutant_chosen == MUTANT_##name, 0))
#else
#define MUTANT(name) (MUTANT_##name == MUTANT_NONE) /* no */
#endif

struct mutant_info {
	const char *name;
	const char *breaks; /* "C1 C2" */
	const char *what;
};
/* NULL from MUTANTS on; MUTANT_NONE is not one. Static storage. */
const struct mutant_info *mutant_info(enum mutant m);
/*
 * From now on; NULL or "": none. While no engine runs. 0, or -ENOENT: there is
 * no such mutant, or this program was built without them.
 */
int mutant_choose(const char *name);

#endif
