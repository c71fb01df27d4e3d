/** The library: `import * as netdisk from "netdisk"`. */
export { Client, type ClientArgs, type NbdArgs } from "./client";
export type { CommandArgs } from "./commands";
export {
  EncryptedDisk,
  type DeviceArgs,
  type EncryptedDiskArgs,
  type FileArgs,
  type FilesystemArgs,
  type ExportArgs,
  type KeyArgs,
  type LuksArgs,
  type MountArgs,
} from "./encryptedDisk";
export { Provider, type ConnectionArgs, type ProviderArgs } from "./provider";
export * from "./resources";
export { Server, type JumpArgs, type ServerArgs } from "./server";
export { fromStackConfig, type StackOutputs } from "./stackConfig";
