// SPDX-License-Identifier: Apache-2.0
// The first process of each pod: holds its namespaces and buries orphans.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number)
{
	(void)number;
	_exit(0);
}

static void bury(int number)
{
	(void)number;
	while (waitpid(-1, 0, WNOHANG) > 0) {
	}
}

int main(void)
{
	signal(SIGTERM, leave);
	signal(SIGINT, leave);
	signal(SIGCHLD, bury);
	for (;;)
		pause();
}
