/** What netdisk itself wrote, or started, on a host, read again. */
import { describe, expect, it } from "vitest";
import { changeText, parseChangeNote } from "../../provider/facts/changeNote";
import { parsePluginManifest } from "../../provider/facts/pluginManifest";
import { parseSettings, type SessionSettings, settingsText } from "../../provider/facts/session";
import { tunnelWords } from "../../provider/facts/sshWords";

const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const digest = "0f".repeat(32);

describe("what a session was started with", () => {
  const plain: SessionSettings = {
    endpoint: "203.0.113.7:22",
    user: "netdisk-serve",
    retain: 67108864,
    build: "b0",
  };
  const jump = { endpoint: "[2001:db8::4]:2222", user: "gate", identityFile: "/root/.ssh/gate" };

  it.each<[string, SessionSettings]>([
    ["203.0.113.7:22 netdisk-serve 67108864 b0", plain],
    ["203.0.113.7:22 netdisk-serve 67108864 b0 [2001:db8::4]:2222 gate /root/.ssh/gate", { ...plain, jump }],
  ])("%s", (text, settings) => {
    expect(settingsText(settings)).toBe(text);
    expect(parseSettings(text)).toEqual(settings);
  });

  it("by another version, without the build", () => {
    expect(parseSettings("203.0.113.7:22 netdisk-serve 67108864")).toEqual({ ...plain, build: "" });
  });
});

describe("what a tunnel was told", () => {
  const start = ["/usr/bin/ssh", "-N", "-i", "/etc/netdisk/tunnel/t1.ed25519", "-p", "2222", "-l", "netdisk"];
  const rest = ["-L", "/run/netdisk/tunnel/t1/nbd.sock:127.0.0.1:10809", "--", "203.0.113.7"];
  const told = {
    host: "203.0.113.7",
    port: "2222",
    user: "netdisk",
    identityFile: "/etc/netdisk/tunnel/t1.ed25519",
    forward: "/run/netdisk/tunnel/t1/nbd.sock:127.0.0.1:10809",
  };

  it.each([
    ["to the server itself", [...start, ...rest], told],
    [
      "through a host on the way",
      [
        ...start,
        "-o",
        "ProxyCommand=/usr/bin/ssh -T -i /root/.ssh/gate -p 22 -l gate -W [%h]:%p -- 198.51.100.4",
        ...rest,
      ],
      { ...told, proxy: { host: "198.51.100.4", port: "22", user: "gate", identityFile: "/root/.ssh/gate" } },
    ],
    [
      "through a command of somebody's, which leads nowhere that was wished",
      [...start, "-o", "ProxyCommand=nc gate 22", ...rest],
      { ...told, proxy: { host: "", port: "", user: "", identityFile: "" } },
    ],
    ["without a forward", [...start, "--", "203.0.113.7"], undefined],
    ["by no words at all", [], undefined],
  ])("%s", (_, words, expected) => {
    expect(tunnelWords(words)).toEqual(expected);
  });
});

describe("the note of the plugin's build", () => {
  it("names the sources and the files", () => {
    const text = `source ${digest}\n${digest}  /usr/local/lib/netdisk/netdisk-helper\n`;
    expect(parsePluginManifest(text)).toEqual({
      source: digest,
      digests: { "/usr/local/lib/netdisk/netdisk-helper": digest },
    });
  });

  it.each(["", "source 0f\n", `source ${digest}\nnonsense\n`, `${digest}  /x\n`])("damaged: %j", (text) => {
    expect(() => parsePluginManifest(text)).toThrow("it is damaged");
  });
});

describe("the note of a key change", () => {
  it("is read as it is written", () => {
    const change = { from: 0, to: 7, luksUuid: uuid };
    expect(parseChangeNote(`${changeText(change)}\n`)).toEqual(change);
  });

  it.each(["", `key slot 8 to 1 of ${uuid}\n`, `key slot 0 to 1 of ${uuid}`, `key slot 0 to 1 of\n`])(
    "is none: %j",
    (text) => expect(parseChangeNote(text)).toBeUndefined(),
  );
});
