/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt_table.h - every SQL statement of the index.
 *
 * STMT_TABLE: those that change something. X(number, name, SQL). Numbers are
 * disk format: journal records carry them. One that was ever released keeps
 * number, parameters and effect; a new effect gets a new number. All inputs
 * are parameters: no random(), no time, no rowid chosen by SQLite, no trigger
 * and no ORDER-less choice decides anything.
 *
 * QUERY_TABLE: those that read. X(name, SQL). May change freely.
 */
#ifndef MENDFS_META_STMT_TABLE_H
#define MENDFS_META_STMT_TABLE_H

/* clang-format off */
#define STMT_TABLE(X)                                                         \
	X(1, META_SET,                                                        \
	  "UPDATE meta SET value = ?2 WHERE key = ?1")                        \
	X(2, META_INSERT,                                                     \
	  "INSERT INTO meta(key, value) VALUES(?1, ?2)")                      \
	X(3, INODE_INSERT,                                                    \
	  "INSERT INTO inode(ino, mode, uid, gid, nlink, size, data, mtime, " \
	  "atime, ctime, btime, rdev, flags, generation, born) VALUES"        \
	  "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")             \
	X(4, INODE_UPDATE,                                                    \
	  "UPDATE inode SET mode = ?2, uid = ?3, gid = ?4, nlink = ?5, "      \
	  "size = ?6, data = ?7, mtime = ?8, atime = ?9, ctime = ?10, "       \
	  "btime = ?11, rdev = ?12, flags = ?13, born = ?14 WHERE ino = ?1")  \
	X(5, INODE_DELETE,                                                    \
	  "DELETE FROM inode WHERE ino = ?1")                                 \
	X(6, SYMLINK_INSERT,                                                  \
	  "INSERT INTO symlink(ino, target) VALUES(?1, ?2)")                  \
	X(7, SYMLINK_DELETE,                                                  \
	  "DELETE FROM symlink WHERE ino = ?1")                               \
	X(8, DENTRY_INSERT,                                                   \
	  "INSERT INTO dentry(id, parent, ino, type, born, name) "            \
	  "VALUES(?1,?2,?3,?4,?5,?6)")                                        \
	X(9, DENTRY_RETARGET,                                                 \
	  "UPDATE dentry SET ino = ?2, type = ?3, born = ?4 WHERE id = ?1")   \
	X(10, DENTRY_DELETE,                                                  \
	  "DELETE FROM dentry WHERE id = ?1")                                 \
	X(11, XATTR_SET,                                                      \
	  "INSERT INTO xattr(ino, name, value, born) VALUES(?1,?2,?3,?4) "    \
	  "ON CONFLICT(ino, name) DO UPDATE "                                 \
	  "SET value = excluded.value, born = excluded.born")                 \
	X(12, XATTR_DELETE,                                                   \
	  "DELETE FROM xattr WHERE ino = ?1 AND name = ?2")                   \
	X(13, XATTR_DELETE_ALL,                                               \
	  "DELETE FROM xattr WHERE ino = ?1")                                 \
	X(14, EXTENT_INSERT,                                                  \
	  "INSERT INTO extent(data, off, len, segment, pos, skip, born, "     \
	  "chunks) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")                          \
	X(15, EXTENT_TRIM,                                                    \
	  "UPDATE extent SET off = ?3, len = ?4, pos = ?5, skip = ?6, "       \
	  "born = ?7, chunks = ?8 WHERE data = ?1 AND off = ?2")              \
	X(16, EXTENT_DELETE,                                                  \
	  "DELETE FROM extent WHERE data = ?1 AND off = ?2")                  \
	X(17, SEGMENT_INSERT,                                                 \
	  "INSERT INTO segment(id, state, dead_seq, descr) "                  \
	  "VALUES(?1,?2,?3,?4)")                                              \
	X(18, SEGMENT_SEAL,                                                   \
	  "UPDATE segment SET state = 2, descr = ?2 "                         \
	  "WHERE id = ?1 AND state <> 3")                                     \
	X(19, SEGMENT_DEAD,                                                   \
	  "UPDATE segment SET state = 3, dead_seq = ?2 WHERE id = ?1")        \
	X(20, SEGMENT_DELETE,                                                 \
	  "DELETE FROM segment WHERE id = ?1 AND state = 3")                  \
	X(21, QUEUE_ADD,                                                      \
	  "INSERT INTO queue(id, kind, a, b) VALUES(?1,?2,?3,?4)")            \
	X(22, QUEUE_REMOVE,                                                   \
	  "DELETE FROM queue WHERE id = ?1")

#define INODE_COLS                                                            \
	"i.ino, i.mode, i.uid, i.gid, i.nlink, i.size, i.data, i.mtime, "     \
	"i.atime, i.ctime, i.btime, i.rdev, i.flags, i.generation"
#define EXTENT_COLS "data, off, len, segment, pos, skip, chunks"

#define QUERY_TABLE(X)                                                        \
	X(META_ALL, "SELECT key, value FROM meta")                            \
	X(PAGE_COUNT, "PRAGMA page_count")                                    \
	X(INODE_GET, "SELECT " INODE_COLS " FROM inode i WHERE ino = ?1")     \
	X(INODE_BTIME, "SELECT mtime, btime FROM inode WHERE ino = ?1")       \
	X(INODE_DATA,                                                         \
	  "SELECT ino, data, size FROM inode "                                \
	  "WHERE ino > ?1 AND data <> 0 ORDER BY ino LIMIT ?2")               \
	X(INODE_COUNT, "SELECT count(*) FROM inode")                          \
	X(SYMLINK_GET, "SELECT target FROM symlink WHERE ino = ?1")           \
	X(DENTRY_GET,                                                         \
	  "SELECT id, parent, ino, type, name FROM dentry "                   \
	  "WHERE parent = ?1 AND name = ?2")                                  \
	X(DENTRY_LIST,                                                        \
	  "SELECT id, parent, ino, type, name FROM dentry "                   \
	  "INDEXED BY dentry_parent "                                         \
	  "WHERE parent = ?1 AND id > ?2 ORDER BY id")                        \
	X(DENTRY_LIST_INODES,                                                 \
	  "SELECT d.id, d.parent, d.ino, d.type, d.name, " INODE_COLS         \
	  " FROM dentry d INDEXED BY dentry_parent "                          \
	  "LEFT JOIN inode i ON i.ino = d.ino "                               \
	  "WHERE d.parent = ?1 AND d.id > ?2 ORDER BY d.id")                  \
	X(DENTRY_ANY,                                                         \
	  "SELECT 1 FROM dentry INDEXED BY dentry_parent "                    \
	  "WHERE parent = ?1 LIMIT 1")                                        \
	X(DENTRY_OF_INODE,                                                    \
	  "SELECT id, parent, ino, type, name FROM dentry "                   \
	  "INDEXED BY dentry_ino "                                            \
	  "WHERE ino = ?1 AND id > ?2 ORDER BY id LIMIT 1")                   \
	X(XATTR_GET, "SELECT value FROM xattr WHERE ino = ?1 AND name = ?2")  \
	X(XATTR_LIST, "SELECT name FROM xattr WHERE ino = ?1")                \
	X(EXTENT_UP,                                                          \
	  "SELECT " EXTENT_COLS " FROM extent "                               \
	  "WHERE data = ?1 AND off >= ?2 AND off < ?3 ORDER BY off")          \
	X(EXTENT_DOWN,                                                        \
	  "SELECT " EXTENT_COLS " FROM extent "                               \
	  "WHERE data = ?1 AND off >= ?2 AND off < ?3 ORDER BY off DESC")     \
	X(EXTENT_ALL, "SELECT " EXTENT_COLS " FROM extent ORDER BY data, off")\
	X(EXTENT_AFTER,                                                       \
	  "SELECT " EXTENT_COLS " FROM extent "                               \
	  "WHERE (data, off) > (?1, ?2) ORDER BY data, off")                  \
	X(EXTENT_COUNT,                                                       \
	  "SELECT count(*) FROM "                                             \
	  "(SELECT 1 FROM extent WHERE data = ?1 LIMIT ?2)")                  \
	X(EXTENT_LENGTHS,                                                     \
	  "SELECT off, len FROM extent "                                      \
	  "WHERE data = ?1 AND off >= ?2 ORDER BY off LIMIT ?3")              \
	X(SEGMENT_GET,                                                        \
	  "SELECT id, state, dead_seq, descr FROM segment WHERE id = ?1")     \
	X(SEGMENT_ALL,                                                        \
	  "SELECT id, state, dead_seq, descr FROM segment ORDER BY id")       \
	X(SEGMENT_SEALED,                                                     \
	  "SELECT id, state, dead_seq, descr FROM segment "                   \
	  "WHERE id > ?2 AND state = ?1 ORDER BY id LIMIT ?3")                \
	X(SEGMENT_OTHER,                                                      \
	  "SELECT id, state, dead_seq, descr FROM segment "                   \
	  "INDEXED BY segment_state WHERE state = ?1 AND state <> 2 "         \
	  "AND id > ?2 ORDER BY id LIMIT ?3")                                 \
	X(QUEUE_NEXT,                                                         \
	  "SELECT id, kind, a, b FROM queue WHERE id > ?1 "                   \
	  "ORDER BY id LIMIT 1")                                              \
	X(QUEUE_ANY,                                                          \
	  "SELECT 1 FROM queue INDEXED BY queue_kind WHERE kind = ?1 LIMIT 1")\
	X(QUEUE_FIND,                                                         \
	  "SELECT id, kind, a, b FROM queue INDEXED BY queue_kind "           \
	  "WHERE kind = ?1 AND a = ?2 ORDER BY id LIMIT 1")
/* clang-format on */

enum stmt_no {
#define STMT_ENUM_(number, name, sql) STMT_##name = (number),
	STMT_TABLE(STMT_ENUM_)
#undef STMT_ENUM_
	STMT_LIMIT
};

enum query_no {
#define QUERY_ENUM_(name, sql) QUERY_##name,
	QUERY_TABLE(QUERY_ENUM_)
#undef QUERY_ENUM_
	QUERY_COUNT
};

#endif
