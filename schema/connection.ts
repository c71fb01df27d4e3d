/** How the operator's machine reaches a host: the provider's configuration, one provider per host. */
import * as z from "zod";
import { field } from "./define";

const text = z.string().min(1, "must not be empty");
const line = text.regex(/^[^\n\0]*$/, "must be one line");

export const hostCure = "Name the host, or say `connection: local` for the machine that runs Pulumi.";

export const connection = {
  role: field(z.enum(["server", "client"]), { doc: "What the host is, for messages." }),
  connection: field(z.enum(["ssh", "local"]).default("ssh"), {
    doc: "`local`: the machine that runs Pulumi is the host itself.",
  }),
  host: field(text.optional(), {
    doc: "Address, name, or alias of ssh_config(5). HostName, Port, User, IdentityFile, IdentityAgent, UserKnownHostsFile, ProxyJump and ProxyCommand of the alias apply, Include as well: resolved by `ssh -G`.",
    example: "backup",
  }),
  port: field(z.int().min(1).max(65535).optional(), {
    doc: "TCP port; default: ssh_config, then 22.",
    example: 22,
  }),
  user: field(text.optional(), {
    doc: "Login. Not root: commands run through sudo. Default: ssh_config, then the local user.",
    example: "root",
  }),
  sshConfig: field(text.optional(), {
    doc: "ssh_config(5) file to use instead of ~/.ssh/config; relative to the directory of Pulumi.yaml.",
    example: "ssh/config",
  }),
  identityFile: field(text.optional(), {
    doc: "Private key file on the operator's machine, relative to the directory of Pulumi.yaml; default: ssh_config, then the agent.",
    example: "~/.ssh/id_ed25519",
  }),
  privateKey: field(text.optional(), {
    doc: "Private key itself (OpenSSH or PEM), instead of a file. `pulumi config set` asks for one line: give it the key with `<KEYFILE`.",
    secret: true,
  }),
  keyPassphrase: field(line.optional(), {
    doc: "Passphrase of an encrypted privateKey or identity file. Without it, such a file needs the agent.",
    secret: true,
  }),
  sudoPassword: field(line.optional(), {
    doc: "Password that sudo asks a login for that is not root. Without it, sudo must not ask (NOPASSWD), which is also faster: a password is checked at each change of the host.",
    secret: true,
  }),
  hostKey: field(text.optional(), {
    doc: "The host's public key, `ALGORITHM BASE64`. Default: known_hosts. A host whose key is in neither is refused.",
    example: "ssh-ed25519 AAAA…",
  }),
  bootTimeout: field(z.int().min(0).default(0), {
    doc: "Seconds that the first contact of a create may wait for a host that is still starting.",
  }),
} as const;
