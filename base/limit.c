/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limit.h"

#ifdef MENDFS_MUTANTS
bool limits_small;
#endif
