/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * A process with children that execute nothing and wait for its end.
 *
 * usage: forks NUMBER 3</. Its root becomes that which it has open. It does what each line of its input says,
 * and answers with a line "done": enter FOLDER: it goes to the cgroup; child PROGRAM: a child executes the
 * program; orphan PROGRAM: a grandchild executes the program once another process has adopted it; exec
 * PROGRAM: it executes the program itself, which answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void execute(const char *program)
{
	execl(program, program, "/dev/null", NULL);
	_exit(3);
}

static void enter(const char *folder)
{
	char path[2048];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%d", getpid()) < 0 || fclose(file) != 0)
		exit(2);
}

/* Ends when the grandchild does: it has the other end of the pipe. */
static void orphan(const char *program)
{
	int ends[2];
	char byte;

	if (pipe(ends) != 0)
		exit(2);
	if (fork() == 0) {
		pid_t parent = getpid();

		if (fork() > 0)
			_exit(0);
		close(ends[0]);
		while (getppid() == parent)
			usleep(1000);
		execute(program);
	}
	close(ends[1]);
	wait(NULL);
	if (read(ends[0], &byte, 1) != 0)
		exit(2);
	close(ends[0]);
}

int main(int count, char **values)
{
	char line[1024], word[1024];
	int ends[2];

	if (count != 2 || fchdir(3) != 0 || chroot(".") != 0 || pipe(ends) != 0)
		return 1;
	for (int left = atoi(values[1]); left > 0; left--) {
		pid_t child = fork();

		if (child < 0)
			return 2;
		if (child == 0) {
			close(ends[1]);
			_exit(read(ends[0], line, 1) != 0);
		}
	}
	do {
		puts("done");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			break;
		if (sscanf(line, "enter %1023s", word) == 1) {
			enter(word);
		} else if (sscanf(line, "orphan %1023s", word) == 1) {
			orphan(word);
		} else if (sscanf(line, "exec %1023s", word) == 1) {
			execl(word, word, "done", NULL);
			return 3;
		} else if (sscanf(line, "child %1023s", word) == 1) {
			pid_t child = fork();

			if (child == 0)
				execute(word);
			waitpid(child, NULL, 0);
		}
	} while (1);
	close(ends[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
