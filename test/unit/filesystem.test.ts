/** When a mapping may be formatted: by what is found on it, by the note of a mkfs, and by what state knows of it. */
import { describe, expect, it } from "vitest";
import { knownWishes } from "../../provider/check";
import { blankProof } from "../../provider/facts/blank";
import { blkidProbe } from "../../provider/facts/blkid";
import { xfsSuperblock } from "../../provider/facts/xfs";
import { filesystem } from "../../provider/resources/filesystem";
import { caseFiles } from "./caseFiles";
import { answeringHost, type ObservationCase } from "./observationCase";

const recorded = caseFiles<ObservationCase>("observations").find(
  ({ subject, name }) => subject === "Filesystem" && name === "testdisk",
)!.data;
const [device, rawDevice, rawOffset] = ["/dev/mapper/testdisk", "/dev/netdisk/testdisk", 16777216];
const note = "/var/lib/netdisk/intent/mkfs-testdisk";
const begun = "mkfs in CRYPT-LUKS2-98e3357abedd4507907855e4e73fbc08\n";
const uuid = "3094a334-0aa7-4b02-b058-7f1ef7864c74";
const lost = `${device} no longer holds the file system ${uuid}: `;

const superblock = recorded.answers.commands[xfsSuperblock.command(device).text]!.stdout;
const finds = {
  nothing: { blkid: undefined, raw: "blank\n" },
  // What a server that writes over the first block leaves.
  noise: { blkid: undefined, raw: `data ${rawOffset}\nrandom\n` },
  "an XFS whose mkfs did not end": { blkid: "TYPE=xfs\n", raw: `data ${rawOffset}\n` },
  ext4: { blkid: `UUID=1-2\nTYPE=ext4\n`, raw: `data ${rawOffset}\n` },
};

function observe(found: keyof typeof finds, how: { pinned: boolean; noted: boolean }) {
  const { blkid, raw } = finds[found];
  const answer = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: "" });
  const { commands, files } = recorded.answers;
  const host = answeringHost({
    commands: {
      ...commands,
      [blkidProbe.command(device).text]: blkid === undefined ? answer("", 2) : answer(blkid),
      [xfsSuperblock.command(device).text]: answer(superblock.replace("inprogress = 0", "inprogress = 1")),
      [blankProof.command(rawDevice, rawOffset).text]: answer(raw),
      // Sectors: what an XFS that state does not know is asked first.
      ...caseFiles<ObservationCase>("observations").find(({ name }) => name === "found-there")!.data.answers
        .commands,
    },
    files: { ...files, [note]: how.noted ? begun : null },
  });
  return filesystem.observe(host, knownWishes(filesystem, recorded.inputs!) as never, {
    name: "testdisk",
    ...(how.pinned && { state: recorded.known!.state as never }),
  });
}

describe("a file system that state knows is never gone for a mkfs", () => {
  const unknown = `data without a known signature: data from byte ${rawOffset} on that blkid and wipefs do not know`;
  it.each([true, false])("whether or not there is a note of one: %s", async (noted) => {
    const look = async (found: keyof typeof finds) => observe(found, { pinned: true, noted });
    expect(await look("nothing")).toMatchObject({
      is: "foreign",
      what: `${lost}nothing was ever written to it`,
    });
    expect(await look("ext4")).toMatchObject({ is: "foreign", what: `${lost}found ext4 1-2` });
    expect(await look("an XFS whose mkfs did not end")).toMatchObject({
      is: "foreign",
      what: `${lost}found an XFS whose mkfs did not end`,
    });
    const noise = await look("noise");
    if (noise.is !== "foreign") throw new Error(noise.is);
    expect(noise.what).toContain(`${lost}found ${unknown}`);
    expect(noise.cure).toContain(`\`xfs_repair -n ${device}\` on the client`);
  });
});

describe("what state does not know", () => {
  it.each<[keyof typeof finds, noted: boolean, is: string]>([
    ["nothing", false, "absent"],
    ["nothing", true, "absent"],
    ["noise", true, "absent"],
    ["noise", false, "foreign"],
    ["an XFS whose mkfs did not end", true, "absent"],
    ["an XFS whose mkfs did not end", false, "foreign"],
    ["ext4", true, "foreign"],
    ["ext4", false, "foreign"],
  ])("and holds %s, noted: %s, is %s", async (found, noted, is) => {
    expect(await observe(found, { pinned: false, noted })).toMatchObject({ is });
  });
});
