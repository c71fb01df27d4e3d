/** The first line of every configuration file that netdisk writes on a server: it tells ours from others'. */
export const ownHeader = "# Written by netdisk; changes are undone by the next `pulumi up`.";

export const isWritten = (text: string): boolean => text.split("\n").includes(ownHeader);
