/** gpg as every command here calls it. */
import { type Command, sh } from "../host/sh";

/** No agent, no key ring, nothing kept ($t is a directory in memory); the passphrase comes on a descriptor. */
export const gpgBy = (descriptor: 0 | 3): Command =>
  sh`gpg --homedir "$t" --no-autostart --batch --quiet --no-tty --no-symkey-cache --pinentry-mode loopback --passphrase-fd ${descriptor}`;

/** Options that seal: the article's, and gpg's slowest derivation of a key from the passphrase. */
export const sealing = [
  ...["--symmetric", "--armor", "--cipher-algo", "aes256", "--digest-algo", "sha512"],
  ...["--s2k-mode", "3", "--s2k-digest-algo", "sha512", "--s2k-count", "65011712", "--compress-algo", "none"],
];
