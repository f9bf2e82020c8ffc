/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * A process whose first thread ends while another one goes on.
 *
 * usage: threads fork|exec|stay PROGRAM. The other thread waits until the first one has ended; then it
 * forks and the child executes the program, or it executes the program itself, or it stays.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **arguments;

/* The state of the first thread: field 3 of its stat. */
static char first_thread(void)
{
	char path[64], stat[512], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	file = fopen(path, "r");
	if (!file || !fgets(stat, sizeof(stat), file) || !(end = strrchr(stat, ')')))
		_exit(2);
	fclose(file);
	return end[2];
}

static void *go_on(void *nothing)
{
	while (first_thread() != 'Z')
		usleep(1000);
	if (strcmp(arguments[1], "stay") == 0)
		pause();
	if (strcmp(arguments[1], "exec") == 0)
		execl(arguments[2], arguments[2], "-c", ":", NULL);
	if (fork() == 0) {
		execl(arguments[2], arguments[2], "-c", ":", NULL);
		_exit(3);
	}
	wait(NULL);
	_exit(0);
	return nothing;
}

int main(int count, char **values)
{
	pthread_t thread;

	arguments = values;
	if (count != 3 || pthread_create(&thread, NULL, go_on, NULL) != 0)
		return 1;
	/* Not exit: that would end all threads. */
	syscall(SYS_exit, 0);
}
