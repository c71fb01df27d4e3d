/** The user's order to destroy a disk when it leaves the stack, one resource on each host. Nothing else destroys data. */
import * as z from "zod";
import { attachedDevice, keyFile } from "./crypt";
import { define, field } from "./define";
import { absolutePath, luksUuid, nameField } from "./fields";

const uuid = field(luksUuid, {
  doc: "LUKS UUID of the disk that is to be destroyed; another one is refused.",
  role: "fixed",
  cure: "Withdraw the order first: leave it out, `pulumi up`; then give it anew.",
});

const order = {
  conditions: {
    recorded: { value: true, doc: "The order is noted on the host." },
  },
  outputs: {
    inStack: field(z.boolean(), {
      doc: "The disk is in a stack: as long as it is, removing this resource only withdraws the order.",
    }),
    begun: field(z.boolean(), { doc: "The destruction was begun: the next removal finishes it." }),
  },
};

export const erase = define({
  token: "netdisk:index:Erase",
  kind: "erase",
  doc: "The order to destroy this disk when it leaves the stack or the stack is destroyed, the client's part: the header on the device (its first 16 MiB), the client's header with all key slots, the key and the sealed copy. The only way in which netdisk destroys them.",
  shared: false,
  inputs: {
    name: nameField,
    luksUuid: uuid,
    device: attachedDevice,
    keyFile,
  },
  ...order,
});

export const eraseFile = define({
  token: "netdisk:index:EraseFile",
  kind: "erase-file",
  doc: "The order to destroy this disk when it leaves the stack or the stack is destroyed, the server's part: the file that holds it. The only way in which netdisk removes one.",
  shared: false,
  inputs: {
    name: nameField,
    luksUuid: uuid,
    path: field(absolutePath, { doc: "The file on the server.", role: "fixed", cure: "Keep it." }),
  },
  ...order,
});
