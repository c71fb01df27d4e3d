/** What the article's LUKS container is like, as a wish to take it over. */
import type { Inputs } from "../../schema/define";
import type { luks } from "../../schema/crypt";

export const articleLuks = (adopt: string): Inputs<typeof luks> => ({
  name: "t1",
  device: "/dev/netdisk/t1",
  keyFile: "/etc/netdisk/keys/t1.key",
  keyPassphrase: undefined,
  type: "luks1",
  cipher: "twofish-cbc-essiv:sha256",
  keySize: 256,
  hash: "sha256",
  pbkdf: "pbkdf2",
  iterTime: undefined,
  sectorSize: 512,
  adopt,
  keySlot: undefined,
});
