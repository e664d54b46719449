/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finding.h - what a check of a pool may find: one table, from which output,
 * man page and tests follow.
 *
 * An id is stable: scripts look for it. One that was ever released keeps its
 * meaning; a new meaning gets a new id. Plain values; any thread.
 */
#ifndef MENDFS_REPAIR_FINDING_H
#define MENDFS_REPAIR_FINDING_H

#include <stddef.h>

enum severity {
	SEVERITY_INFO,	  /* worth knowing, nothing is wrong */
	SEVERITY_WARNING, /* a spare copy is bad or not there; all can be read
			   */
	SEVERITY_ERROR,	  /* something is lost, cannot be read, or contradicts
			     itself */
	SEVERITY_COUNT
};

/* What to do, where many findings say the same. */
#define DO_NOTHING_ "nothing"
#define DO_MOUNT_   "mount the pool: that writes it anew"
#define DO_DISK_    "look at the folder's disk before more of it fails"
#define DO_LOG_	    "look at the disk and the system log"
#define DO_ATTACH_  "attach the missing folders and check again"
#define DO_FINAL_ \
	"attach the missing folders; a mount that writes makes the loss final"
#define DO_RESTORE_                                                     \
	"attach missing folders, if any; else restore the files named " \
	"from a backup"
#define DO_REPORT_                                                           \
	"mount with -o ro, copy out what matters, and report it: the index " \
	"contradicts itself"

/* X(name, id, severity, what it means, what to do) */
#define FINDING_TABLE(X)                                                      \
	/* folders and superblocks */                                         \
	X(POOL_DIVERGED, "pool-diverged", ERROR,                              \
	  "the folders hold two histories of the pool",                       \
	  "mount with -o ro and look; keep one side as mount tells")          \
	X(POOL_TOO_FEW, "pool-too-few", ERROR,                                \
	  "too few folders are there to know the newest records", DO_ATTACH_) \
	X(MEMBER_MISSING, "member-missing", WARNING,                          \
	  "a folder of the pool cannot be reached",                           \
	  "attach it, or give its new place, and check again")                \
	X(MEMBER_DAMAGED, "member-damaged", WARNING,                          \
	  "a folder has no superblock that can be used",                      \
	  "check that it is the right disk; the pool works without it")       \
	X(SUPER_SLOT_DAMAGED, "super-slot-damaged", WARNING,                  \
	  "a copy of the superblock is damaged", DO_MOUNT_)                   \
	X(SUPER_SLOT_MISSING, "super-slot-missing", WARNING,                  \
	  "a copy of the superblock is not there", DO_MOUNT_)                 \
	X(SUPER_SLOT_UNREAD, "super-slot-unread", WARNING,                    \
	  "a copy of the superblock cannot be read", DO_LOG_)                 \
	X(SUPER_STALE, "super-stale", WARNING,                                \
	  "a folder missed what was written last", DO_MOUNT_)                 \
	X(LOCAL_NEWER, "local-newer", ERROR,                                  \
	  "this machine has seen a newer state of the pool",                  \
	  "attach the newer folders, or accept the loss as mount tells")      \
	X(LOCAL_UNREADABLE, "local-unreadable", INFO,                         \
	  "what this machine remembers of the pool cannot be read",           \
	  DO_NOTHING_)                                                        \
	/* journal */                                                         \
	X(JOURNAL_REPLAYED, "journal-replayed", INFO,                         \
	  "the pool was not unmounted; its journal was read in", DO_NOTHING_) \
	X(JOURNAL_OLD, "journal-old", INFO,                                   \
	  "journal files of earlier mounts are left", DO_NOTHING_)            \
	X(JOURNAL_COPY_DAMAGED, "journal-copy-damaged", WARNING,              \
	  "a copy of the journal is damaged", DO_MOUNT_)                      \
	X(JOURNAL_COPIES_FEW, "journal-copies-few", WARNING,                  \
	  "the journal has fewer copies than it should have", DO_MOUNT_)      \
	X(JOURNAL_UNREADABLE, "journal-unreadable", ERROR,                    \
	  "the journal cannot be read", DO_ATTACH_)                           \
	X(JOURNAL_FILE_LOST, "journal-file-lost", ERROR,                      \
	  "no copy of a journal file can be read", DO_FINAL_)                 \
	X(JOURNAL_ACKED_LOST, "journal-acked-lost", ERROR,                    \
	  "records that were acknowledged are lost in all copies", DO_FINAL_) \
	X(JOURNAL_REPLAY, "journal-replay-failed", ERROR,                     \
	  "the journal does not fit the index", DO_REPORT_)                   \
	/* checkpoints */                                                     \
	X(MANIFEST_UNREADABLE, "manifest-unreadable", ERROR,                  \
	  "a checkpoint's table of contents cannot be read", DO_ATTACH_)      \
	X(MANIFEST_OLDER_USED, "manifest-older-used", ERROR,                  \
	  "an older checkpoint stands in for the newest", DO_FINAL_)          \
	X(MANIFEST_KEPT, "manifest-kept-unreadable", WARNING,                 \
	  "an older checkpoint that is kept cannot be read", DO_NOTHING_)     \
	X(REGION_UNREADABLE, "region-unreadable", ERROR,                      \
	  "a part of the index cannot be read", DO_ATTACH_)                   \
	X(INDEX_UNREADABLE, "index-unreadable", ERROR,                        \
	  "the index cannot be restored from the pool", DO_ATTACH_)           \
	/* the index's own rules */                                           \
	X(INDEX_SQLITE, "index-sqlite", ERROR,                                \
	  "the database of the index is damaged", DO_REPORT_)                 \
	X(INDEX_COUNTER_LOW, "index-counter-low", ERROR,                      \
	  "a counter would give out a number that is in use", DO_REPORT_)     \
	X(INDEX_ROOT, "index-root", ERROR, "there is no root folder",         \
	  DO_REPORT_)                                                         \
	X(INDEX_DENTRY_NO_INODE, "index-dentry-no-inode", ERROR,              \
	  "a name without an inode", DO_REPORT_)                              \
	X(INDEX_DENTRY_NO_PARENT, "index-dentry-no-parent", ERROR,            \
	  "a name in what is no folder", DO_REPORT_)                          \
	X(INDEX_DENTRY_TYPE, "index-dentry-type", ERROR,                      \
	  "a name's type is not its inode's", DO_REPORT_)                     \
	X(INDEX_LINK_COUNT, "index-link-count", ERROR,                        \
	  "a link count is not the number of names", DO_REPORT_)              \
	X(INDEX_FOLDER_LINKS, "index-folder-links", ERROR,                    \
	  "a folder's link count does not fit its subfolders", DO_REPORT_)    \
	X(INDEX_FOLDER_NAMES, "index-folder-names", ERROR,                    \
	  "a folder with several names", DO_REPORT_)                          \
	X(INDEX_FOLDER_UNREACHABLE, "index-folder-unreachable", ERROR,        \
	  "a folder that no path leads to", DO_REPORT_)                       \
	X(INDEX_ORPHAN_NOT_QUEUED, "index-orphan-not-queued", ERROR,          \
	  "an inode without a name that nothing will remove", DO_REPORT_)     \
	X(INDEX_SYMLINK_NO_INODE, "index-symlink-no-inode", ERROR,            \
	  "a link target without a symbolic link", DO_REPORT_)                \
	X(INDEX_SYMLINK_NO_TARGET, "index-symlink-no-target", ERROR,          \
	  "a symbolic link without its target", DO_REPORT_)                   \
	X(INDEX_XATTR_NO_INODE, "index-xattr-no-inode", ERROR,                \
	  "an attribute of nothing", DO_REPORT_)                              \
	X(INDEX_EXTENT_FORMAT, "index-extent-format", ERROR,                  \
	  "an extent that cannot be understood", DO_REPORT_)                  \
	X(INDEX_EXTENT_OVERLAP, "index-extent-overlap", ERROR,                \
	  "two extents show the same bytes", DO_REPORT_)                      \
	X(INDEX_EXTENT_NO_SEGMENT, "index-extent-no-segment", ERROR,          \
	  "an extent in an unknown segment, or beyond its end", DO_REPORT_)   \
	X(INDEX_EXTENT_NO_OWNER, "index-extent-no-owner", ERROR,              \
	  "data that belongs to no file", DO_REPORT_)                         \
	X(INDEX_SIZE_BELOW_DATA, "index-size-below-data", ERROR,              \
	  "data beyond the end of its file", DO_REPORT_)                      \
	X(INDEX_SEGMENT_FORMAT, "index-segment-format", ERROR,                \
	  "a segment's description cannot be understood", DO_REPORT_)         \
	X(INDEX_SEGMENT_REFS, "index-segment-refs", ERROR,                    \
	  "a segment's count of references is wrong", DO_REPORT_)             \
	X(INDEX_SEGMENT_DEAD_USED, "index-segment-dead-used", ERROR,          \
	  "a segment counts as dead and is in use", DO_REPORT_)               \
	X(INDEX_SEGMENT_NOT_DEAD, "index-segment-not-dead", ERROR,            \
	  "a segment that nothing uses does not count as dead", DO_REPORT_)   \
	X(INDEX_OTHER, "index-other", ERROR,                                  \
	  "the index breaks another of its rules", DO_REPORT_)                \
	/* segments and their fragments */                                    \
	X(SEGMENT_FRAGMENT_MISSING, "segment-fragment-missing", WARNING,      \
	  "a fragment is not in its folder", DO_DISK_)                        \
	X(SEGMENT_FRAGMENT_BAD, "segment-fragment-bad", WARNING,              \
	  "a fragment is not what was written", DO_DISK_)                     \
	X(SEGMENT_FRAGMENT_UNREAD, "segment-fragment-unread", WARNING,        \
	  "a fragment cannot be read", DO_LOG_)                               \
	X(SEGMENT_DEGRADED, "segment-degraded", WARNING,                      \
	  "a segment has lost redundancy; all of it can be read", DO_DISK_)   \
	X(SEGMENT_THIN, "segment-thin", WARNING,                              \
	  "a segment was written with less redundancy than the pool's",       \
	  DO_DISK_)                                                           \
	X(SEGMENT_UNAVAILABLE, "segment-unavailable", ERROR,                  \
	  "too few of a segment's fragments can be reached", DO_ATTACH_)      \
	X(SEGMENT_LOST, "segment-lost", ERROR,                                \
	  "too many of a segment's fragments are damaged or missing",         \
	  DO_RESTORE_)                                                        \
	X(SEGMENT_OPEN_EMPTY, "segment-open-without-bytes", ERROR,            \
	  "a segment's bytes should be in the journal and are not",           \
	  DO_RESTORE_)                                                        \
	X(CHUNK_DAMAGED, "chunk-damaged", ERROR,                              \
	  "a chunk does not open although its segment can be read",           \
	  DO_RESTORE_)                                                        \
	X(FILE_UNREADABLE, "file-unreadable", ERROR,                          \
	  "a part of a file cannot be read", DO_RESTORE_)                     \
	/* objects */                                                         \
	X(FOLDER_UNLISTED, "folder-unlisted", WARNING,                        \
	  "a folder's objects cannot be listed", DO_LOG_)                     \
	X(ORPHAN_OBJECT, "orphan-object", INFO,                               \
	  "an object that nothing refers to", DO_NOTHING_)

enum finding_id {
#define FINDING_ENUM_(name, id, severity, meaning, todo) FINDING_##name,
	FINDING_TABLE(FINDING_ENUM_)
#undef FINDING_ENUM_
	FINDING_COUNT
};

/* One finding; all borrowed for the call that hands it out. */
struct finding {
	enum finding_id id;
	const char *subject; /* which folder, segment, file ...: never NULL;
				names of files are as they are, any bytes */
	const char *detail;  /* more of it, or "" */
};

/* The id in words, "super-stale". Static storage, as all of these. */
const char *finding_name(enum finding_id id);
enum severity finding_severity(enum finding_id id);
/* A sentence without its full stop. */
const char *finding_meaning(enum finding_id id);
const char *finding_todo(enum finding_id id);
/* By name; FINDING_COUNT: there is none. */
enum finding_id finding_by_name(const char *name);

/* "info", "warning", "error". */
const char *severity_name(enum severity s);

#endif
