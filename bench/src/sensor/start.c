/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Starts itself over and over, as fast as one core does: a bare loop of a static program.
 *
 * usage: start NUMBER SECONDS. It stops after so many starts, or, where NUMBER is 0, after so many seconds, and
 * prints how often it started itself and how many nanoseconds that took. Without arguments it does nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **values)
{
	long long began = now(), longest;
	long number, done = 0;
	int status;

	if (count != 3)
		return 0;
	number = atol(values[1]);
	longest = atol(values[2]) * 1000000000LL;
	while (number ? done < number : now() - began < longest) {
		pid_t child = fork();

		if (child == 0) {
			execl("/start", "/start", NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			return 1;
		done++;
	}
	printf("%ld %lld\n", done, now() - began);
	return 0;
}
