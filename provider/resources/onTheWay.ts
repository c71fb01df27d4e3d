/**
 * What is on the way between the kernel and a session's plugin at most, for which both sides are made: the device's queue
 * holds so many requests of this length (attachment.ts), nbdkit has a thread for each, and the plugin sends each in one piece
 * (session.ts). 8 MiB in all, four times what ssh has on the way.
 */
export const requestsAtOnce = 64;
export const requestKiB = 128;
