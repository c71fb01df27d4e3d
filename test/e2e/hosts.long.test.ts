/** The ladder (harness/ladder.ts) by the ways in which users reach their hosts. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { hosts, labName, on, sshConfig, tryOn, type HostName } from "./harness/lab";
import { defaultVariant, ladderOf, type Variant } from "./harness/ladder";
import { defaultStack, pulumi } from "./harness/project";
import { checkout } from "./harness/run";
import { expectNoChanges, up } from "./harness/scenario";

/** Whom the engine logs in as, and what sudo wants to hear from them. */
const logins: Record<HostName, { user: string; password: string }> = {
  server: { user: "keeper", password: "the keeper's sudo password" },
  client: { user: "owner", password: "the owner's sudo password" },
};
const folder = join(checkout, ".lab", `${labName}-hosts`);
const at = (name: string) => join(folder, name);

/** A login that gives its password to sudo; its shell greets, as some do. */
async function makeLogin(host: HostName): Promise<void> {
  const { user, password } = logins[host];
  await on(
    host,
    `set -e
     useradd --create-home --shell /bin/bash ${user}
     install -d -m 700 -o ${user} -g ${user} /home/${user}/.ssh
     install -m 600 -o ${user} -g ${user} /root/.ssh/authorized_keys /home/${user}/.ssh/authorized_keys
     echo 'echo "a greeting that is no answer"' >/home/${user}/.bashrc`,
  );
  await mayUseSudo(host, "PASSWD");
  // Few rounds: sudo checks the password at each command, and a guest's processor is slow.
  await on(host, "chpasswd --crypt-method SHA512 --sha-rounds 1000", `${user}:${password}\n`);
}

const mayUseSudo = (host: HostName, how: "PASSWD" | "NOPASSWD") => {
  const { user } = logins[host];
  return on(host, `install -m 440 /dev/stdin /etc/sudoers.d/${user}`, `${user} ALL=(ALL) ${how}: ALL\n`);
};

const address = { server: "10.77.0.2", client: "10.77.0.3" };
/** Another sshd on the server, with a key of its own: the only way in for the tunnel, and the way to nothing else. */
const gate = { endpoint: `${address.server}:2222`, user: "gate", identityFile: "/etc/gate/id" };

/** The gate's host key: the stack file pins it before there is a host. */
function gateHostKey(): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at("gate")]);
  return readFileSync(at("gate.pub"), "utf8").trim();
}

async function makeGate(): Promise<void> {
  const key = await on(
    "client",
    `install -d -m 700 /etc/gate && ssh-keygen -q -t ed25519 -N '' -C '' -f ${gate.identityFile} && cat ${gate.identityFile}.pub`,
  );
  await on("server", "install -m 600 /dev/stdin /etc/ssh/gate_key", readFileSync(at("gate")));
  await on(
    "server",
    `set -e
     useradd --create-home --shell /usr/sbin/nologin --password '*' gate
     install -d -m 700 -o gate -g gate /home/gate/.ssh
     echo 'restrict,port-forwarding,permitopen="${address.server}:22" ${key}' >/home/gate/.ssh/authorized_keys
     printf '%s\\n' 'Port 2222' 'HostKey /etc/ssh/gate_key' 'AllowUsers gate' >/etc/ssh/gate_config
     printf '%s\\n' 'Match Address ${address.client} User netdisk' '  PubkeyAuthentication no' >/etc/ssh/sshd_config.d/gate.conf
     printf '%s\\n' '[Service]' 'ExecStart=/usr/sbin/sshd -D -f /etc/ssh/gate_config' 'Restart=always' \\
       '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/gate.service
     systemctl daemon-reload
     systemctl enable --now gate.service
     systemctl reload-or-restart ssh.service`,
  );
}

/** The operator's own configuration: the server lies behind the client, and names in known_hosts are hashed. */
function operatorConfig(): string {
  const [, identity = ""] = /IdentityFile (\S+)/.exec(readFileSync(sshConfig, "utf8")) ?? [];
  writeFileSync(at("known_hosts"), readFileSync(join(dirname(sshConfig), "known_hosts")));
  execFileSync("ssh-keygen", ["-q", "-H", "-f", at("known_hosts")], { stdio: "ignore" });
  writeFileSync(
    at("config"),
    `Include ${sshConfig}

Host vault
  HostName ${address.server}
  User ${logins.server.user}
  IdentityFile ${identity}
  UserKnownHostsFile ${at("known_hosts")}
  GlobalKnownHostsFile none
  ProxyJump client
`,
  );
  return at("config");
}

/** By sudo's own book, over all boots. */
const sudoCalls = async (host: HostName): Promise<number> =>
  Number(
    await on(
      host,
      `journalctl -t sudo --no-pager -o cat | grep -c '${logins[host].user} .*COMMAND=' || test $? = 1`,
    ),
  );

function sudoAndJumps(): Variant {
  const hostKey = gateHostKey();
  const config = operatorConfig();
  return {
    ...defaultVariant,
    name: "logins that use sudo with a password, and jump hosts on both ways to the server",
    stack: {
      ...defaultStack,
      server: {
        host: "vault",
        sshConfig: config,
        endpoint: `${address.server}:22`,
        jump: { ...gate, hostKey },
      },
      client: { ...defaultStack.client, user: logins.client.user, sshConfig: config },
      secrets: {
        ...defaultStack.secrets,
        "server.sudoPassword": logins.server.password,
        "client.sudoPassword": logins.client.password,
      },
    },
    async prepare() {
      for (const host of hosts) await makeLogin(host);
      await makeGate();
    },
    checks: {
      ...defaultVariant.checks,
      "all of it went through sudo, and nothing holds a password": async () => {
        const places = "/tmp /var/tmp /run /var/log /etc /root /home /var/lib/netdisk";
        for (const host of hosts) {
          expect(await sudoCalls(host)).toBeGreaterThan(10);
          // The word that is there shows that the search would have found the other.
          const found = `echo planted-${host} >/tmp/planted && grep -rlaF -e "${logins[host].password}" -e planted-${host} ${places} 2>/dev/null; rm /tmp/planted`;
          expect(await on(host, found)).toBe("/tmp/planted");
        }
      },
      "the tunnel goes through the gate, and could not go without": async () => {
        const peers = await on("server", "ss -Htn state established '( sport = :22 )' | awk '{ print $4 }'");
        expect(peers).toContain(`${address.server}:`);
        const key = "/etc/netdisk/tunnel/testdisk.ed25519";
        const known =
          "-o UserKnownHostsFile=/etc/netdisk/tunnel/testdisk.known_hosts -o StrictHostKeyChecking=yes";
        const direct = await tryOn(
          "client",
          `ssh -F none -i ${key} -o BatchMode=yes ${known} -l netdisk -W 127.0.0.1:10809 ${address.server} </dev/null`,
        );
        expect(direct.output).toContain("Permission denied");
        const lines = await on("client", "cut -d' ' -f1 /etc/netdisk/tunnel/testdisk.known_hosts");
        expect(lines.split("\n")).toEqual([address.server, `[${address.server}]:2222`]);
      },
      "sudo on the server without a password, from here on, is as good": async () => {
        await mayUseSudo("server", "NOPASSWD");
        const { code, output } = await pulumi(["config", "rm", "--path", "server.sudoPassword"]);
        expect(code, output).toBe(0);
        const before = await sudoCalls("server");
        await up();
        await expectNoChanges();
        expect(await sudoCalls("server")).toBeGreaterThan(before);
      },
    },
  };
}

ladderOf(sudoAndJumps());
