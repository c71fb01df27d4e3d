/** What sshd says of its own configuration, and its host keys. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Value lines by keyword in lower case; a keyword may have several. */
export type SshdConfig = Record<string, string[]>;

/**
 * The configuration that applies to a login of `user` from some address that no Match block names, at the first port that
 * sshd listens on. Without a port sshd refuses to answer where there is a `Match LocalPort`; what it listens on is the same
 * in each answer, since no Match block may change that.
 */
export const sshdConfig: Fact<[user: string], SshdConfig> = {
  name: "sshd.config",
  package: "openssh-server",
  command: (user) => sh`login=${`user=${user},host=unknown.invalid,addr=192.0.2.1`}
port=$(/usr/sbin/sshd -T -C "$login,lport=22" 2>/dev/null | sed -n '/^listenaddress /{s/^[^ ]* [^ ]*:\\([0-9]*\\).*/\\1/p;q}')
/usr/sbin/sshd -T -C "$login,lport=\${port:-22}"`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("sshd does not accept its own configuration");
    const config: SshdConfig = {};
    for (const line of stdout.split("\n").filter(Boolean)) {
      const match = /^([a-z0-9]+)(?: (.*))?$/.exec(line);
      if (!match?.[1]) throw new Error(`unexpected line: ${line}`);
      (config[match[1]] ??= []).push(match[2] ?? "");
    }
    if (!config.port) throw new Error("no port in the answer");
    return config;
  },
};

/** Public halves of the host key files that exist, `ALGORITHM BASE64`, from the private ones that sshd uses. */
export const sshdHostKeys: Fact<[files: readonly string[]], string[]> = {
  name: "sshd.hostKeys",
  command: (files) =>
    sh`for file in ${[...files]}; do
  if test -e "$file"; then ssh-keygen -y -f "$file" </dev/null || exit 1; fi
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("a host key cannot be read");
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const key = /^([a-z0-9-]+ [A-Za-z0-9+/=]+)(?: .*)?$/.exec(line)?.[1];
        if (key === undefined) throw new Error(`unexpected line: ${line}`);
        return key;
      });
  },
};
