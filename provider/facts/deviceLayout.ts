/** Lengths on a device that several looks at it, and what is done to it, must agree on. Bytes. */

/**
 * From the beginning and up to the end: what the client reads whole before it calls a device blank (blank.ts). The rest it
 * samples, so the server reads all of a file that has zeros here before it makes it a disk's (takeover.ts).
 */
export const provenEdge = 16 * 2 ** 20;

/**
 * Room of a LUKS2 header of the default size, and more than that of a LUKS1 header: where the data of a disk that netdisk
 * makes begins, what of a device is looked at as a header, and what is destroyed with the disk.
 */
export const luks2HeaderRoom = 16 * 2 ** 20;
