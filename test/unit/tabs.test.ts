/** Which lines of fstab and crypttab would bring a disk up. */
import { expect, it } from "vitest";
import { crypttabLines, fstabLines } from "../../provider/facts/tabs";

const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";

it.each([
  ["its mapping", "/dev/mapper/t1 /mnt xfs defaults 0 0", true],
  ["another name of its mapping", "/dev/mapper/mine\t/mnt xfs defaults 0 0", true],
  ["its UUID", `  UUID=${uuid} /mnt xfs noauto 0 0`, true],
  ["its UUID in quotes", `UUID="${uuid}" /mnt xfs noauto 0 0`, true],
  ["its UUID as a path", `/dev/disk/by-uuid/${uuid} /mnt xfs defaults 0 0`, true],
  ["its label", "LABEL=photos /mnt xfs defaults 0 0", true],
  ["its label as a path", "/dev/disk/by-label/photos /mnt xfs defaults 0 0", true],
  ["another disk", "/dev/mapper/t10 /mnt xfs defaults 0 0", false],
  ["another UUID", `UUID=${uuid.replace("5", "6")} /mnt xfs defaults 0 0`, false],
  ["its mount point only", "/dev/sda1 /dev/mapper/t1 xfs defaults 0 0", false],
  ["nothing, as a comment", `#UUID=${uuid} /mnt xfs defaults 0 0`, false],
])("fstab: a line that names %s", (_, line, found) => {
  const text = `# <file system>\n\n/dev/sda1 / ext4 defaults 0 1\n${line}\n`;
  const called = { mappings: ["t1", "mine"], uuids: [uuid], labels: ["photos"] };
  expect(fstabLines(text, called)).toEqual(found ? [line.trim()] : []);
});

it.each([
  ["its name", "t1 /dev/nbd0 none luks", true],
  ["its UUID under another name", `mine UUID=${uuid} none luks,_netdev`, true],
  ["its UUID as a path", `mine /dev/disk/by-uuid/${uuid} none`, true],
  ["both, once", `t1 UUID=${uuid} none luks`, true],
  ["another disk", "t10 /dev/nbd1 none luks", false],
  ["nothing, as a comment", `# t1 UUID=${uuid} none luks`, false],
])("crypttab: a line that names %s", (_, line, found) => {
  expect(crypttabLines(`${line}\n`, ["t1"], uuid)).toEqual(found ? [line] : []);
});
