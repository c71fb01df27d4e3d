/* dial: a TCP connection over a link that may come back at any moment.
 *
 * The kernel repeats a SYN that nobody answers after 1, 2, 4, 8 s, so a link that comes back between two of them goes
 * unnoticed for as long as it was gone. Here a new attempt begins every second beside those that still wait; the first that
 * is answered is taken. One that is slow is not given up for it: also a link of several seconds' delay gets through.
 */
#ifndef NETDISK_DIAL_H
#define NETDISK_DIAL_H

/* Connects to HOST (a name or an address) and PORT. Returns a descriptor; -1 MS milliseconds after HOST was looked up, without
 * an answer, or as soon as all of the host's addresses have answered with an error: *why then says so, as ssh does. */
int dial (const char *host, const char *port, int ms, const char **why);

/* ssh's ProxyUseFdpass: passes the descriptor through a socket. 0, or -1 with errno. */
int dial_pass (int socket, int fd);

#endif
