/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peek.h - what a folder tells without the passphrase. Nothing of it is
 * proven, and nothing is written.
 */
#ifndef MENDFS_TOOLS_PEEK_H
#define MENDFS_TOOLS_PEEK_H

#include <sys/types.h>

#include "base/err.h"
#include "backend/superblock.h"

/*
 * The newest superblock's clear part. -ERR_NO_SUPERBLOCK: the folder holds
 * none; -ERR_CORRUPT: damaged ones only; -ERR_FEATURE; -ETIMEDOUT: it hangs;
 * -ENOENT ...: no such folder.
 */
int peek_folder(const char *location, struct sb_clear *out) MUST_USE;
/*
 * The process of this host that has locked the folder, 0: none (or it cannot
 * be told). Takes no lock itself, so that it disturbs no mount.
 */
pid_t peek_lock_owner(const char *location);

#endif
