/** From a provider's configuration to the Host it describes. Nothing is contacted before the first use. */
import type { connection } from "../../schema/connection";
import type { Definition, Inputs } from "../../schema/define";

type Checked = Inputs<Definition<typeof connection, Record<never, never>, Record<never, never>>>;

/** schema/connection.ts, checked; what the user left out may be left out here too. */
export type Connection = Pick<Checked, "connection"> & Partial<Checked>;
