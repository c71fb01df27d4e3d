/** What an ssh that netdisk started was told, from the words of its command line. */

export interface SshWords {
  host: string;
  port: string;
  user: string;
  identityFile: string;
}

export interface TunnelWords extends SshWords {
  /** `SOCKET:HOST:PORT` of `-L`. */
  forward: string;
  /** Of a ProxyCommand in our form; one in another form leads nowhere that was wished. */
  proxy?: SshWords;
}

function after(words: readonly string[], flag: string): string {
  const at = words.indexOf(flag);
  return at < 0 ? "" : (words[at + 1] ?? "");
}

const sshWords = (words: readonly string[]): SshWords => ({
  host: after(words, "--"),
  port: after(words, "-p"),
  user: after(words, "-l"),
  identityFile: after(words, "-i"),
});

/** Undefined where it is not a tunnel of our form. */
export function tunnelWords(words: readonly string[]): TunnelWords | undefined {
  if (["-L", "-p", "-l", "--"].some((flag) => !words.includes(flag))) return undefined;
  const option = "ProxyCommand=";
  const proxy = words.find((word) => word.startsWith(option))?.slice(option.length);
  return {
    ...sshWords(words),
    forward: after(words, "-L"),
    ...(proxy !== undefined && { proxy: sshWords(proxy.split(" ")) }),
  };
}
