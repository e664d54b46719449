/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_ops.c - requests about inodes and names.
 */
#include "fs/fuse_impl.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define NS		1000000000LL
#define PREFERRED_BYTES 4096 /* st_blksize; the kernel counts in it too */
#define ACL_PREFIX	"system.posix_acl_"

/* ---- conversions ---- */

void fuse_ops_reply(fuse_req_t req, int rc)
{
	fuse_reply_err(req, err_errno(rc));
}

static struct timespec to_timespec(int64_t ns)
{
	struct timespec t = {.tv_sec = ns / NS, .tv_nsec = ns % NS};

	if (t.tv_nsec < 0) {
		t.tv_nsec += NS;
		t.tv_sec--;
	}
	return t;
}

/* Years beyond 1677..2262 become the last that can be kept. */
static int64_t from_timespec(const struct timespec *t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t->tv_sec, NS, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

void fuse_ops_stat(const struct attr *a, struct stat *out)
{
	*out = (struct stat){
		.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blksize = PREFERRED_BYTES,
		.st_blocks = (blkcnt_t)a->blocks,
		.st_atim = to_timespec(a->atime_ns),
		.st_mtim = to_timespec(a->mtime_ns),
		.st_ctim = to_timespec(a->ctime_ns),
	};
}

void fuse_ops_entry(const struct attr *a, struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){
		.ino = a->ino,
		.generation = a->generation,
		.attr_timeout = FUSE_VALID_SECONDS,
		.entry_timeout = FUSE_VALID_SECONDS,
	};
	fuse_ops_stat(a, &out->attr);
}

void fuse_ops_cred(fuse_req_t req, struct cred *out)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	*out = (struct cred){.uid = c->uid, .gid = c->gid, .umask = c->umask};
}

static struct volume *volume_of(fuse_req_t req)
{
	return fuse_mount_of(req)->v;
}

static void reply_entry(fuse_req_t req, int rc, const struct attr *a)
{
	struct fuse_entry_param e;

	if (rc < 0) {
		fuse_ops_reply(req, rc);
		return;
	}
	fuse_ops_entry(a, &e);
	fuse_reply_entry(req, &e);
}

static void reply_attr(fuse_req_t req, int rc, const struct attr *a)
{
	struct stat st;

	if (rc < 0) {
		fuse_ops_reply(req, rc);
		return;
	}
	fuse_ops_stat(a, &st);
	fuse_reply_attr(req, &st, FUSE_VALID_SECONDS);
}

/* ---- session ---- */

static void want(struct fuse_conn_info *conn, unsigned flags)
{
	conn->want |= conn->capable & flags;
}

/*
 * What the kernel shall do for us. Not wanted, though offered: O_TRUNC as part
 * of OPEN (it brought old data back), HANDLE_KILLPRIV (its first version wants
 * every set-id bit cleared by us; the second is fuse_wire.c's), splicing (our
 * data comes from and goes to memory), and dropping of cached data when times
 * change (nobody else changes files).
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fuse_mount *m = userdata;

	conn->want &=
		~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV |
			    FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
			   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
			   FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_DONT_MASK |
			   FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPORT_SUPPORT |
			   FUSE_CAP_EXPLICIT_INVAL_DATA);
	if (!volume_read_only(m->v))
		want(conn, FUSE_CAP_WRITEBACK_CACHE);
	m->writeback = conn->want & FUSE_CAP_WRITEBACK_CACHE;
	m->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
	conn->max_write = MIN(conn->max_write, FUSE_WRITE_BYTES);
	conn->max_background = FUSE_BACKGROUND;
	conn->congestion_threshold = FUSE_CONGESTION;
	conn->time_gran = 1;
}

/* ---- lookup and attributes ---- */

static int take_parent(void *arg, const struct dir_entry *e)
{
	uint64_t *ino = arg;

	*ino = e->ino;
	return strcmp(e->name, "..") == 0;
}

/* "." and "..": only the NFS server asks for them. */
static int lookup_dots(struct volume *v, uint64_t dir, const char *name,
		       struct attr *out)
{
	uint64_t ino = dir;
	int rc = 0;

	if (strcmp(name, "..") == 0)
		rc = posix_readdir(v, dir, 0, false, take_parent, &ino);
	return rc < 0 ? rc : posix_getattr(v, ino, out);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_entry_param none = {
		.entry_timeout = FUSE_VALID_SECONDS,
	};
	struct volume *v = volume_of(req);
	struct attr a;
	int rc;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		reply_entry(req, lookup_dots(v, parent, name, &a), &a);
		return;
	}
	rc = posix_lookup(v, parent, name, &a);
	if (rc == -ENOENT) /* the kernel remembers that, too */
		fuse_reply_entry(req, &none);
	else
		reply_entry(req, rc, &a);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	(void)ino;
	(void)n;
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct attr a;
	int rc = posix_getattr(volume_of(req), ino, &a);

	(void)fi;
	reply_attr(req, rc, &a);
}

/* FUSE_SET_ATTR_* -> SET_*. A new owner always costs the set-id bits. */
static const struct {
	int fuse;
	unsigned set;
} set_map[] = {
	{FUSE_SET_ATTR_MODE, SET_MODE},
	{FUSE_SET_ATTR_UID, SET_UID | SET_KILL_SUIDGID},
	{FUSE_SET_ATTR_GID, SET_GID | SET_KILL_SUIDGID},
	{FUSE_SET_ATTR_SIZE, SET_SIZE},
	{FUSE_SET_ATTR_ATIME, SET_ATIME},
	{FUSE_SET_ATTR_MTIME, SET_MTIME},
	{FUSE_SET_ATTR_CTIME, SET_CTIME},
	{FUSE_SET_ATTR_ATIME_NOW, SET_ATIME_NOW},
	{FUSE_SET_ATTR_MTIME_NOW, SET_MTIME_NOW},
	{FUSE_SET_ATTR_KILL_SUID, SET_KILL_SUIDGID},
	{FUSE_SET_ATTR_KILL_SGID, SET_KILL_SUIDGID},
};

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int to_set, struct fuse_file_info *fi)
{
	struct attr_change c = {
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime_ns = from_timespec(&st->st_atim),
		.mtime_ns = from_timespec(&st->st_mtim),
		.ctime_ns = from_timespec(&st->st_ctim),
	};
	struct attr a;
	int rc;

	(void)fi;
	for (size_t i = 0; i < ARRAY_LEN(set_map); i++)
		if (to_set & set_map[i].fuse)
			c.set |= set_map[i].set;
	rc = posix_setattr(volume_of(req), ino, &c, &a);
	reply_attr(req, rc, &a);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct space s;
	struct statvfs out = {0};
	int rc = posix_statfs(volume_of(req), &s);

	(void)ino;
	if (rc < 0) {
		fuse_ops_reply(req, rc);
		return;
	}
	out.f_bsize = s.block_bytes;
	out.f_frsize = s.block_bytes;
	out.f_blocks = s.total_blocks;
	out.f_bfree = s.free_blocks;
	out.f_bavail = s.free_blocks;
	/* Inodes are made as needed; a block each is a careful guess. */
	out.f_files = s.inodes + s.free_blocks;
	out.f_ffree = s.free_blocks;
	out.f_favail = s.free_blocks;
	out.f_namemax = 255;
	fuse_reply_statfs(req, &out);
}

/* ---- names ---- */

static void make(fuse_req_t req, uint64_t parent, const char *name,
		 const struct create_spec *spec)
{
	struct cred c;
	struct attr a;
	int rc;

	fuse_ops_cred(req, &c);
	rc = posix_make(volume_of(req), &c, parent, name, spec, &a);
	reply_entry(req, rc, &a);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct create_spec spec = {.mode = mode, .rdev = rdev};

	make(req, parent, name, &spec);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct create_spec spec = {.mode = S_IFDIR | (mode & ~(mode_t)S_IFMT)};

	make(req, parent, name, &spec);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	struct create_spec spec = {.mode = S_IFLNK | 0777, .target = target};

	make(req, parent, name, &spec);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct bytes target = {0};
	int rc = posix_readlink(volume_of(req), ino, &target);

	if (rc == 0)
		rc = bytes_add_u8(&target, '\0');
	if (rc < 0)
		fuse_ops_reply(req, rc);
	else
		fuse_reply_readlink(req, (const char *)target.data);
	bytes_release(&target);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ops_reply(req, posix_unlink(volume_of(req), parent, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ops_reply(req, posix_rmdir(volume_of(req), parent, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	fuse_ops_reply(req, posix_rename(volume_of(req), parent, name,
					 new_parent, new_name, flags));
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	struct attr a;
	int rc = posix_link(volume_of(req), ino, parent, name, &a);

	reply_entry(req, rc, &a);
}

/* ---- extended attributes ---- */

/*
 * Access control lists are kept by nobody yet; storing them without obeying
 * them would promise what is not done.
 */
static bool is_acl(const char *name)
{
	return strncmp(name, ACL_PREFIX, strlen(ACL_PREFIX)) == 0;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	int rc = -EOPNOTSUPP;

	if (!is_acl(name))
		rc = posix_setxattr(volume_of(req), ino, name, value, size,
				    flags);
	fuse_ops_reply(req, rc);
}

/* n: size of the result, which is in buf unless only its size was wanted. */
static void reply_xattr(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		fuse_ops_reply(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	AUTO_FREE char *buf = mem_alloc(size);
	ssize_t n = buf ? -EOPNOTSUPP : -ENOMEM;

	if (buf && !is_acl(name))
		n = posix_getxattr(volume_of(req), ino, name, buf, size);
	reply_xattr(req, n, buf, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	AUTO_FREE char *buf = mem_alloc(size);
	ssize_t n = -ENOMEM;

	if (buf)
		n = posix_listxattr(volume_of(req), ino, buf, size);
	reply_xattr(req, n, buf, size);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	int rc = -EOPNOTSUPP;

	if (!is_acl(name))
		rc = posix_removexattr(volume_of(req), ino, name);
	fuse_ops_reply(req, rc);
}

/* Locks of both kinds are left to the kernel: one host has the pool. */
const struct fuse_lowlevel_ops fuse_ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.readlink = op_readlink,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.link = op_link,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.create = fuse_file_create,
	.open = fuse_file_open,
	.read = fuse_file_read,
	.write = fuse_file_write,
	.flush = fuse_file_flush,
	.release = fuse_file_release,
	.fsync = fuse_file_fsync,
	.opendir = fuse_dir_open,
	.readdir = fuse_dir_read,
	.readdirplus = fuse_dir_read_plus,
	.releasedir = fuse_dir_release,
	.fsyncdir = fuse_dir_fsync,
	.ioctl = fuse_ioctl_any,
};
