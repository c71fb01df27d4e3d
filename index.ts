import "./components/plainStacks";
import { fromStackConfig } from "./components";

// Every export is an output of the stack.
export const { disks, recovery, recoverySheet } = fromStackConfig();
