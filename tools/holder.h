/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder.h - who keeps a pool locked on this machine, and what frees it. One
 * thread; looks, but touches nothing.
 */
#ifndef MENDFS_TOOLS_HOLDER_H
#define MENDFS_TOOLS_HOLDER_H

#include "base/diag.h"
#include "tools/location.h"

/*
 * For a command that was refused with -ERR_IN_USE and `diag`: adds which
 * process has locked these folders, where it has the pool mounted, in which
 * state it is and the command that ends it. Leaves diag as it is where no
 * process of this machine is found.
 */
void holder_tell(const struct locations *folders, struct diag *diag);

#endif
