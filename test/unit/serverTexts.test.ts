/** The pure parsers of text files on a server, and what sshd's configuration means for the tunnel. */
import { describe, expect, it } from "vitest";
import { parseAllowFile } from "../../provider/facts/allowFile";
import { parseAuthorizedKeys, permitOpenOf } from "../../provider/facts/authorizedKeys";
import { escapeValue, parseKeyFile } from "../../provider/facts/keyFile";
import { parseLoadRecord } from "../../provider/facts/nbdServer";
import type { SshdConfig } from "../../provider/facts/sshd";
import { diskExport, understand } from "../../provider/resources/export";
import { sshdVerdict } from "../../provider/resources/sshdVerdict";

describe("parseKeyFile", () => {
  it("reads the package's own configuration", () => {
    const text = "[generic]\n# If you want\n\tuser = nbd\n\tgroup=nbd\n\n# What follows\n";
    expect(parseKeyFile(text)).toEqual({
      groups: [
        {
          name: "generic",
          entries: [
            ["user", "nbd"],
            ["group", "nbd"],
          ],
        },
      ],
      strange: [],
    });
  });

  it("names what GLib would stumble over", () => {
    expect(parseKeyFile("early = 1\n[a]\nnonsense\n[b\n").strange).toEqual(["early = 1", "nonsense", "[b"]);
  });

  it("gives an empty file no group", () => {
    expect(parseKeyFile("")).toEqual({ groups: [], strange: [] });
  });

  it.each(["/srv/plain.img", "/srv/a b.img", "/srv/tab\tand\\slash ", " /x"])("round-trips %j", (path) => {
    expect(parseKeyFile(`[a]\nexportname = ${escapeValue(path)}\n`).groups[0]?.entries).toEqual([
      ["exportname", path],
    ]);
  });
});

describe("an export", () => {
  const wish = {
    name: "t1",
    exportName: "/srv/100 %s.img",
    flush: true,
    fua: true,
    sync: true,
    readOnly: false,
    authFile: "/etc/nbd-server/allow",
  };
  const [step] = diskExport.plan({ is: "absent" }, wish, { name: "t1" });
  const text = step?.do === "write" ? step.content : "";

  it("is read back as it was written", () => {
    expect(understand("t1", text)).toEqual({ ...wish, onlyOurs: true });
  });

  it.each([
    ["is left out", ""],
    ["is another", "\tvirtstyle = ipliteral\n"],
    ["has a second value, which counts", "\tvirtstyle = none\n\tvirtstyle = iphash\n"],
  ])("is not as it should be where nbd-server would take its path for a format: virtstyle %s", (_, line) => {
    expect(understand("t1", text.replace("\tvirtstyle = none\n", line)).onlyOurs).toBe(false);
  });
});

describe("parseLoadRecord", () => {
  const sum = "e805a91ef3d39c5c07226eb66766bfedef74dac0ecc333d2a9f70e0a24e8c7c9";

  it("reads what the script writes", () => {
    const text = `invocation c004b35fa93c4431892bde6e0ad6843b\n${sum}  /etc/nbd-server/config\n`;
    expect(parseLoadRecord(text)).toEqual({
      invocation: "c004b35fa93c4431892bde6e0ad6843b",
      digests: { "/etc/nbd-server/config": sum },
    });
  });

  it.each(["", "invocation x\n", "invocation c004b35fa93c4431892bde6e0ad6843b\nsha256sum: oops\n"])(
    "refuses %j",
    (text) => expect(() => parseLoadRecord(text)).toThrow("unexpected line"),
  );
});

it("parseAllowFile takes what nbd-server takes", () => {
  expect(parseAllowFile("# ours\n127.0.0.1/32\n  ::1/128 # v6\n\n")).toEqual(["127.0.0.1/32", "::1/128"]);
  expect(parseAllowFile("")).toEqual([]);
});

describe("parseAuthorizedKeys", () => {
  it("tells options, key and comment apart", () => {
    const text =
      '# note\nrestrict,command="echo \\"a, b\\"",permitopen="127.0.0.1:10809" ssh-ed25519 AAAA netdisk:a b\nssh-rsa BBBB\nrubbish\n';
    const [first, second, ...more] = parseAuthorizedKeys(text);
    expect(first).toEqual({
      options: ["restrict", 'command="echo \\"a, b\\""', 'permitopen="127.0.0.1:10809"'],
      publicKey: "ssh-ed25519 AAAA",
      comment: "netdisk:a b",
    });
    expect(first && permitOpenOf(first)).toBe("127.0.0.1:10809");
    expect(second).toEqual({ options: [], publicKey: "ssh-rsa BBBB", comment: "" });
    expect(second && permitOpenOf(second)).toBeUndefined();
    expect(more).toEqual([]);
  });
});

describe("sshdVerdict", () => {
  const home = "/var/lib/netdisk/tunnel";
  const login = {
    user: "netdisk",
    home,
    keysFile: `${home}/.ssh/authorized_keys`,
    permitOpen: "127.0.0.1:10809",
  };
  const debian: SshdConfig = {
    pubkeyauthentication: ["yes"],
    disableforwarding: ["no"],
    allowtcpforwarding: ["yes"],
    permitopen: ["any"],
    authorizedkeysfile: [".ssh/authorized_keys .ssh/authorized_keys2"],
    authenticationmethods: ["any"],
    pubkeyacceptedalgorithms: ["ssh-ed25519,rsa-sha2-256"],
  };
  const verdict = (change: SshdConfig): string => sshdVerdict({ ...debian, ...change }, login);

  it.each<SshdConfig>([
    {},
    { allowusers: ["root", "net*"] },
    { allowusers: ["netdisk@203.0.113.*"] },
    { denyusers: ["mallory netdisk@10.0.0.1"] },
    { permitopen: ["*:10809"] },
    { authorizedkeysfile: ["%h/.ssh/authorized_keys"] },
    { allowtcpforwarding: ["local"] },
  ])("accepts %j", (change) => expect(verdict(change)).toBe("accepts"));

  it.each<[SshdConfig, string]>([
    [{ allowusers: ["root"] }, "AllowUsers root"],
    [{ denyusers: ["net?isk"] }, "DenyUsers net?isk"],
    [{ allowgroups: ["ssh"] }, "AllowGroups ssh"],
    [{ allowtcpforwarding: ["no"] }, "AllowTcpForwarding no"],
    [{ permitopen: ["none"] }, "PermitOpen none"],
    [{ authorizedkeysfile: ["/etc/ssh/keys/%u"] }, "AuthorizedKeysFile /etc/ssh/keys/%u"],
    [{ authenticationmethods: ["publickey,password"] }, "AuthenticationMethods publickey,password"],
    [{ pubkeyauthentication: ["no"] }, "PubkeyAuthentication no"],
    [{ disableforwarding: ["yes"] }, "DisableForwarding yes"],
  ])("%j is forbidden: %s", (change, expected) => expect(verdict(change)).toBe(expected));
});
