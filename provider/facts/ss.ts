/** Listening TCP sockets and whose they are. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Listener {
  /** Without brackets and interface: `127.0.0.1`, `::1`, `0.0.0.0`, `*`. */
  address: string;
  port: number;
  processes: { name: string; pid: number }[];
}

const lineOf = /^LISTEN +[0-9]+ +[0-9]+ +(\S+):([0-9]+) +\S+(?: +users:\((.*)\))? *$/;

function parseProcesses(text: string): Listener["processes"] {
  const processes = [...text.matchAll(/\("([^"]*)",pid=([0-9]+),fd=[0-9]+\),?/g)];
  if (processes.map(([whole]) => whole).join("") !== text) throw new Error(`unexpected processes: ${text}`);
  return processes.map(([, name = "", pid]) => ({ name, pid: Number(pid) }));
}

export const ssListening: Fact<[], Listener[]> = {
  name: "ss.listening",
  package: "iproute2",
  command: () => sh`ss -Hltnp`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("ss failed");
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const match = lineOf.exec(line);
        if (!match?.[1]) throw new Error(`unexpected line: ${line}`);
        const address = match[1].replace(/%[^\]]*/, "").replace(/^\[(.*)\]$/, "$1");
        return { address, port: Number(match[2]), processes: parseProcesses(match[3] ?? "") };
      });
  },
};

export const isLoopback = (address: string): boolean =>
  address === "::1" || /^(::ffff:)?127\.[0-9]+\.[0-9]+\.[0-9]+$/.test(address);

/** `127.0.0.1:10809`, `[::1]:10809`. */
export const formatListener = ({ address, port }: Listener): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
