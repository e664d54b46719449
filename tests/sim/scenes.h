/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenes.h - the scenarios: what is told on top of each function in
 * scene_*.c. They run on the simulated machine (in sim_run, in a fresh
 * process); a violation ends the program (stage.h).
 */
#ifndef MENDFS_TESTS_SIM_SCENES_H
#define MENDFS_TESTS_SIM_SCENES_H

/* X(function and name, how many seeds it takes as a rule) */
#define SCENE_TABLE(X)             \
	X(seal_again, 2)           \
	X(moved_journal, 2)        \
	X(stale_journal, 2)        \
	X(unread_journal, 2)       \
	X(lost_record, 1)          \
	X(second_sync, 2)          \
	X(newest_alone, 2)         \
	X(too_few, 8)              \
	X(small_memory, 1)         \
	X(cut_in_flight, 8)        \
	X(cut_in_fill, 8)          \
	X(row_counts, 1)           \
	X(save_in_checkpoint, 8)   \
	X(unlink_in_checkpoint, 2) \
	X(save_while_sealing, 2)   \
	X(by_itself, 2)

#define SCENE_DECLARE_(name, seeds) void scene_##name(void *arg);
SCENE_TABLE(SCENE_DECLARE_)
#undef SCENE_DECLARE_

#endif
