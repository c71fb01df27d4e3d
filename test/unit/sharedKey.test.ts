/** A sealed key file that is there before its disk: whether it is another disk's, which left its stack unharmed. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import { luksKey } from "../../provider/resources/luksKey";
import { Secret } from "../../schema/secret";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

const key = "/etc/netdisk/key.asc";
const headers = "/var/lib/netdisk/headers";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const inputs = {
  ...{ name: "t1", bytes: 64, gpg: key, adopt: undefined },
  passphrase: new Secret("long enough"),
};

let shell: StubbedShell;
let host: Host;

beforeEach(() => {
  shell = stubbedShell();
  shell.stub(
    "stat",
    'case $* in *key.asc) echo "regular file|300|400|root:root" ;; *) exec /usr/bin/stat "$@" ;; esac',
  );
  shell.stub("gpg", "head -c 64 /dev/zero");
  // A header is the digest of the key that opens it.
  shell.stub(
    "cryptsetup",
    `for header; do :; done
case $1 in
open) [ "$(sha256sum | cut -c 1-64)" = "$(cat "$header")" ] || exit 2 ;;
isLuks) exit 1 ;;
luksDump) echo '{"keyslots":{"0":{"key_size":64,"af":{"hash":"sha256"},"kdf":{"type":"argon2id"},"area":{"offset":"1","size":"1"}}},"segments":{"0":{"type":"crypt","offset":"1","encryption":"aes","sector_size":512}}}' ;;
luksUUID) echo ${uuid} ;;
esac`,
  );
  shell.write(key, "sealed");
  const exec: Host["exec"] = ({ text }, { stdin } = {}) => {
    const given = stdin instanceof Secret ? String(stdin.reveal()) : "";
    const { status, stdout, stderr } = shell.run(`printf %s '${given}' | {\n${text}\n}`);
    return Promise.resolve({ exitCode: status, stdout: stdout.replaceAll(shell.path(""), ""), stderr });
  };
  host = { label: "client", exec, readFile: () => Promise.resolve(undefined) } as unknown as Host;
});

const look = (more: Partial<typeof inputs> | { adopt: string } = {}, state?: object) =>
  luksKey.observe(host, { ...inputs, ...more }, { name: "t1", state: state as never });
const opens = (name: string) =>
  shell.write(`${headers}/${name}.luks`, shell.run("head -c 64 /dev/zero | sha256sum").stdout.slice(0, 64));

describe("a key file that is there before its disk", () => {
  it("is the disk's where it opens no other one", async () => {
    shell.write(`${headers}/t2.luks`, "another key");
    expect(await look()).toMatchObject({ is: "present", state: { path: key, exists: true } });
  });

  it("is refused where a disk in no stack needs it", async () => {
    opens("t2");
    expect(await look()).toMatchObject({
      is: "foreign",
      what: `${key} is the key of the disk "t2", which is in no stack and whose header is there (${headers}/t2.luks)`,
      cure: expect.stringMatching(/move \S+t2\.luks away\.$/) as string,
    });
  });

  it("may be a copy of the key of a disk that is in a stack", async () => {
    opens("t2");
    const claim = { project: "p", stack: "s", urn: "u", nonce: "n", inputs: { name: "t2" } };
    shell.write("/var/lib/netdisk/claims/luks-key/t2/p.s.json", `${JSON.stringify(claim)}\n`);
    expect(await look()).toMatchObject({ is: "present" });
  });

  it("is that of a disk to adopt, which had another name before", async () => {
    opens("t2");
    expect(await look({ adopt: uuid })).toMatchObject({ is: "present" });
    expect(await look({ adopt: `0${uuid.slice(1)}` })).toMatchObject({ is: "foreign" });
  });

  it("is tried on no other disk once the stack knows of it, or the disk has its header", async () => {
    opens("t2");
    const known = { bytes: 64, path: key, exists: true };
    expect(await look({}, known)).toMatchObject({ is: "present" });
    opens("t1");
    expect(await look()).toMatchObject({ is: "present" });
    expect(shell.calls().join()).not.toContain("cryptsetup");
  });
});
