/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "base/mem.h"
#include "tools/cli.h"
#include "tools/client.h"

static const struct cli_command command = {
	.name = "mendfs sync",
	.operands = "MNT",
	.summary =
		"Makes everything written so far durable, also what programs "
		"have not synced.",
	.min = 1,
	.max = 1,
};

int cmd_sync(int argc, char **argv)
{
	struct diag diag = DIAG_INIT;
	struct mounted m;
	json_t *answer = NULL;
	int code, rc, first = cli_parse(&command, argc, argv, NULL, &code);

	if (first < 0)
		return code;
	rc = client_find(argv[first], true, &diag, &m);
	if (rc < 0)
		return cli_fail(command.name, rc, &diag);
	rc = client_call(&m, "sync", CLIENT_FOREVER, &diag, &answer);
	mounted_release(&m);
	if (rc < 0)
		return cli_fail(command.name, rc, &diag);
	json_decref(answer);
	return CLI_OK;
}
