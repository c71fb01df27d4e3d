/* transport: the bytes' way to the server: a command on stdio (ssh), or a unix socket.
 *
 * We run the command ourselves, not through libnbd: it gets a process group of its own that can be killed whole, its last
 * words become the reason shown in the status, and ending it never waits for it.
 */
#ifndef NETDISK_TRANSPORT_H
#define NETDISK_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "backoff.h"

/* A refusal of netdisk-serve names up to three hosts, and has its cure at the end. */
#define WORDS_BYTES 480

struct transport {
  pid_t pid;            /* 0: none, or over and reaped */
  int words_fd;         /* its stderr, non-blocking; -1: none */
  int exit_status;      /* of waitpid, once pid is 0; -1: unknown */
  char words[WORDS_BYTES];      /* its last line so far */
};

void transport_init (struct transport *t);

/* Starts ARGV in a process group of its own on the given stdin, stdout and stderr, with signals as a fresh process has them:
 * nbdkit blocks and ignores some, which would be inherited. 0 or an errno. */
int transport_spawn (pid_t *pid, char *const argv[], int in, int out, int words);

/* Starts ARGV; returns our end of its stdin and stdout, or -1 with errno. */
int transport_command (struct transport *t, char *const argv[]);

/* Connects to a unix socket; returns the descriptor, or -1 with errno. Never blocks. */
int transport_socket (const char *path);

/* Reads what it said since, and whether it ended. Call this now and then, or a talkative command blocks. Of one that never
 * stops it reads some, and leaves the rest for the next time. */
void transport_listen (struct transport *t);

/* As above, and gives a command whose connection has just ended a moment (up to 0.2 s) to end, too. */
void transport_last_words (struct transport *t);

/* Kills the whole process group. Does not wait: transport_reap, later, does away with the rest. */
void transport_end (struct transport *t);
void transport_reap (void);

/* What kind of failure is it that a command did not come to a session? WORDS: its last line; STATUS as of waitpid, or -1.
 * REFUSED: a server or its sshd said no, as far as it is known how that reads. Anything else is UNANSWERED. */
enum failure transport_judge (const char *words, int status);

#endif
