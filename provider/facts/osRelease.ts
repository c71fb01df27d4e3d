/** Which operating system a host runs, by os-release(5), and whether systemd runs it. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Platform {
  /** `debian`, and what it is derived from: `ubuntu debian`. */
  ids: string[];
  /** `Debian GNU/Linux 13 (trixie)` */
  name: string;
  /** Whether pid 1 is systemd, see sd_booted(3). */
  systemd: boolean;
}

/** Values are shell words: quoted where they hold more than letters and digits. */
function unquoted(word: string): string {
  return word.replace(/^(["'])([^]*)\1$/, "$2").replace(/\\(["$`\\])/g, "$1");
}

export const platform: Fact<[], Platform> = {
  name: "osRelease.platform",
  command: () => sh`cat /etc/os-release || cat /usr/lib/os-release || exit 44
if test -d /run/systemd/system; then echo systemd; else echo 'no systemd'; fi`,
  parse: ({ exitCode, stdout }) => {
    // So old or so small that it has no name.
    if (exitCode === 44) return { ids: [], name: "an unknown system without os-release", systemd: false };
    const lines = stdout.trimEnd().split("\n");
    const booted = lines.pop();
    if (exitCode !== 0 || (booted !== "systemd" && booted !== "no systemd"))
      throw new Error("os-release could not be read");
    const settings = new Map<string, string>();
    for (const line of lines) {
      const at = line.indexOf("=");
      if (at > 0 && !line.startsWith("#"))
        settings.set(line.slice(0, at), unquoted(line.slice(at + 1).trim()));
    }
    const ids = ["ID", "ID_LIKE"].flatMap((key) => settings.get(key)?.split(/\s+/).filter(Boolean) ?? []);
    const name = settings.get("PRETTY_NAME") ?? settings.get("NAME") ?? ids[0];
    if (name === undefined) throw new Error("os-release has no name");
    return { ids, name, systemd: booted === "systemd" };
  },
};
