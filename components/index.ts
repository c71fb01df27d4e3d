/** The library: `import * as netdisk from "netdisk"`. */
export { Client, type ClientArgs, type NbdArgs } from "./client";
export type { CommandArgs } from "./commands";
export type {
  DeviceArgs,
  EncryptedDiskArgs,
  FileArgs,
  FilesystemArgs,
  ExportArgs,
  KeyArgs,
  LuksArgs,
  MountArgs,
} from "./diskArgs";
export { EncryptedDisk } from "./encryptedDisk";
export { Provider, type ConnectionArgs, type ProviderArgs } from "./provider";
export * from "./resources";
export { Server, type JumpArgs, type ServerArgs } from "./server";
export { fromStackConfig, type StackOutputs } from "./stackConfig";
