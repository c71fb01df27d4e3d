/** What a removal takes of an account that several disks share, run as the shell text that it is. */
import { beforeEach, expect, it } from "vitest";
import { keysFile, type Login, removeLogin } from "../../provider/resources/login";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

const login: Login = {
  user: "netdisk",
  home: "/var/lib/netdisk/tunnel",
  gecos: "netdisk tunnels",
  shell: "/bin/x",
};
const file = keysFile(login);
const own = "ssh-ed25519 AAAAOWN";
const others = "restrict ssh-ed25519 AAAAOTHER netdisk:photos\n";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.stub("chown", "");
  shell.stub("id", "echo 4294967294");
  shell.stub("userdel", "");
});

/** `keys`: what authorized_keys holds; `gecos`: whose the account is, undefined where there is none. */
function remove(keys: string | undefined, gecos: string | undefined = login.gecos) {
  if (keys !== undefined) shell.write(file, keys);
  shell.stub(
    "getent",
    gecos === "" ? "exit 2" : `echo "netdisk:x:990:990:${gecos}:${shell.path(login.home)}:/bin/x"`,
  );
  const { status, stderr } = shell.run(commandOf(removeLogin(login, "t1", own)));
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const home = shell.run(`ls -d ${login.home} 2>/dev/null`).stdout !== "";
  return { keys: shell.read(file), home, account: !shell.calls().includes("userdel netdisk") };
}

const gone = { keys: undefined, home: false, account: false };

it.each<[string, string | undefined]>([
  ["its last line", `restrict ${own} netdisk:t1\n`],
  ["its last line, whatever its comment by now", `restrict ${own} mine\n`],
  ["comments", "# mine\n\n"],
  ["no line", ""],
  ["no file", undefined],
])("the account and its home go with %s", (_, keys) => {
  expect(remove(keys)).toEqual(gone);
});

it.each([
  ["another disk's line", others],
  ["another disk's line with the same key", `restrict ${own} netdisk:photos\n`],
  ["somebody's", "ssh-ed25519 AAAAHIS me@home\n"],
])("stays for %s, which stays, too", (_, rest) => {
  expect(remove(`${rest}restrict ${own} netdisk:t1\n# mine\n`)).toEqual({
    keys: `${rest}# mine\n`,
    home: true,
    account: true,
  });
});

it("leaves somebody else's account of the same name", () => {
  expect(remove("", "somebody")).toMatchObject({ home: true, account: true });
});

it("takes the home of an account that is gone", () => {
  expect(remove(`restrict ${own} netdisk:t1\n`, "")).toMatchObject({ keys: undefined, home: false });
});

it("leaves what else lies in the home", () => {
  shell.write(`${login.home}/mine`, "x");
  expect(remove("")).toEqual({ ...gone, home: true });
});
