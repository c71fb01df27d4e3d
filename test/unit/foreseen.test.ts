/** What a run did otherwise than its preview had shown, as the lab's tests find it. */
import { expect, it } from "vitest";
import { surprises } from "../e2e/harness/foreseen";
import { foreseenSteps } from "../e2e/harness/previewText";

const preview = `\
Diagnostics:
  netdisk:index:Export (photos):
    flush: false → true
    would run: write /etc/nbd-server/conf.d/photos.conf (mode 0644)
    would run: systemctl daemon-reload

  netdisk:index:Mount (photos):
    info: would run: systemctl restart netdisk-mount@photos.service
`;
const foreseen = foreseenSteps(preview);
const exported = ["write /etc/nbd-server/conf.d/photos.conf (mode 0644)", "systemctl daemon-reload"];
const mounted = ["systemctl restart netdisk-mount@photos.service"];

it("reads the steps of each resource", () => {
  expect([...foreseen]).toEqual([
    ["Export (photos)", exported],
    ["Mount (photos)", mounted],
  ]);
});

it.each<[what: string, ran: Record<string, string[]>, found: string[]]>([
  ["nothing, where all was foreseen", { "Export (photos)": exported, "Mount (photos)": mounted }, []],
  ["nothing, where another's step made one needless", { "Export (photos)": exported }, []],
  [
    "nothing, where an input was unknown",
    { "Export (photos)": exported, "Attachment (photos)": ["systemctl daemon-reload"] },
    [],
  ],
  [
    "nothing, where what may come unforeseen was foreseen, or comes",
    {
      "Export (photos)": exported,
      "ServerConfig (server)": ["cp /etc/nbd-server/config /etc/nbd-server/config.before-netdisk"],
    },
    [],
  ],
  [
    "a step that was not run",
    { "Export (photos)": exported.slice(0, 1) },
    [`Export (photos) did not run: ${exported[1]}`],
  ],
  [
    "another order",
    { "Export (photos)": [...exported].reverse() },
    [`Export (photos) did not run: ${exported[0]}`, `Export (photos) ran unforeseen: ${exported[0]}`],
  ],
  [
    "a step more, and a resource more",
    { "Export (photos)": [...exported, "rm x"], "Luks (photos)": ["cryptsetup luksFormat"] },
    ["Export (photos) ran unforeseen: rm x", "Luks (photos) ran unforeseen: cryptsetup luksFormat"],
  ],
])("finds %s", (_, ran, found) => {
  expect(surprises(foreseen, new Map(Object.entries(ran)))).toEqual(found);
});
