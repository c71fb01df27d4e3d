/** The components as programs in other languages see them: the keys of a stack file, and what comes out. */
import * as z from "zod";
import { field, type Field } from "./define";
import { diskOrders, placeDocs, required, type Place } from "./stack";

export interface Component {
  doc: string;
  /** The place in a stack file that has the same keys; what lies below it are objects. */
  place: Place;
  /** Arguments that no stack file has, and without which there is no component. */
  more: Record<string, { doc: string; component?: string; place?: Place }>;
  /** What a stack file says beside its disks, and what may be left out. */
  orders: Record<string, Field>;
  outputs: Record<string, Field>;
}

const text = (doc: string, secret = false): Field =>
  secret ? field(z.string(), { doc, secret: true }) : field(z.string(), { doc });

export const components: Record<string, Component> = {
  Server: {
    doc: placeDocs.server,
    place: "server",
    more: {},
    orders: {},
    outputs: {
      endpoint: text("The server as the client dials it, `HOST:PORT`."),
      hostKey: text("The host's own SSH key, which sessions and tunnels pin."),
    },
  },
  Client: {
    doc: placeDocs.client,
    place: "client",
    more: {},
    orders: {},
    outputs: { nbdCommit: text("The commit of nbd that was built.") },
  },
  EncryptedDisk: {
    doc: "One disk end to end: file on the server → session, or export and tunnel → attached device → LUKS → file system → mount.",
    place: "disks.NAME",
    more: {
      server: { doc: "The Server that stores the bytes.", component: "Server" },
      client: { doc: "The Client that mounts the disk.", component: "Client" },
      recovery: { doc: `${placeDocs.recovery} As text: \`none\`.`, place: "recovery" },
    },
    orders: diskOrders,
    outputs: {
      mountPath: text("Where the client has the disk mounted."),
      luksUuid: text("LUKS UUID: the identity of the disk."),
      unit: text("`netdisk@NAME.target` on the client: start and stop it to attach and detach the disk."),
      device: text("`/dev/netdisk/NAME` on the client: the attached device, which holds ciphertext."),
      recovery: text(
        "Key and header as an ASCII-armored OpenPGP message; absent with `recovery: none`.",
        true,
      ),
      recoverySheet: text(
        "The same as a text to keep offline, with the commands that read the disk on any Linux, without netdisk and Pulumi.",
        true,
      ),
    },
  },
};

/** Arguments without which there is no component. */
export const requiredOf = ({ place, more }: Component): string[] => [
  ...(required[place] ?? []),
  ...Object.keys(more),
];
