/** What `npm run check-stack` warns of in a stack file that has no mistake. */
import { expect, it } from "vitest";
import { stackWarningReport } from "../../schema/stackReport";
import { StackText } from "../../schema/stackText";

const report = (disks: string) => {
  const text = new StackText(
    "stacks/Pulumi.home.yaml",
    `config:\n  netdisk-hosts:disks:\n${disks}`,
    "netdisk-hosts",
  );
  return stackWarningReport({ stack: "home", values: text.values() }, text)?.split("\n");
};

it("a file that the server may remove, at its place", () => {
  const disks = [
    "    one: { file: { path: /srv/one.img, size: 1 GiB } }",
    "    two: { file: { path: /var/tmp/two.img, size: 1 GiB } }",
    '    three: { file: { path: "/tmp/my disk.img", size: 1 GiB } }',
    '    four: { file: { path: "/var/tmp/100%.img", size: 1 GiB } }',
  ];
  expect(report(`${disks.join("\n")}\n`)).toEqual([
    "the configuration of stack home has 3 warnings:",
    "  disks.two.file.path: lies in /var/tmp, where a newly installed Debian 13 removes what was not used for 30 days. Choose another path, or write `x /var/tmp/two.img` into /etc/tmpfiles.d/netdisk.conf on the server.",
    "    at stacks/Pulumi.home.yaml:4:26",
    "          two: { file: { path: /var/tmp/two.img, size: 1 GiB } }",
    "                               ^^^^^^^^^^^^^^^^",
    "  disks.three.file.path: lies in /tmp, which many servers empty when they boot. Choose another path.",
    "    at stacks/Pulumi.home.yaml:5:28",
    '          three: { file: { path: "/tmp/my disk.img", size: 1 GiB } }',
    "                                 ^^^^^^^^^^^^^^^^^^",
    "  disks.four.file.path: lies in /var/tmp, where a newly installed Debian 13 removes what was not used for 30 days. Choose another path.",
    "    at stacks/Pulumi.home.yaml:6:27",
    '          four: { file: { path: "/var/tmp/100%.img", size: 1 GiB } }',
    "                                ^^^^^^^^^^^^^^^^^^^",
  ]);
});

it.each([
  ["other places", "    one: { file: { size: 1 GiB } }\n    two: { device: { path: /dev/mapper/x } }\n"],
  ["what is a mistake", "    one: /var/tmp\n    two: { file: { path: [/tmp/x] } }\n"],
  ["what is encrypted", "    one: { file: { path: { secure: /tmp/x } } }\n"],
])("nothing of %s", (_, disks) => expect(report(disks)).toBeUndefined());
