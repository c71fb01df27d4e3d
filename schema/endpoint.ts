/** Where the client finds the server. */

/**
 * A host name or address that means the same on every machine: it has a dot or a colon. Anything else may be an
 * alias that only this machine's ssh_config knows.
 */
export function isPlainAddress(host: string): boolean {
  return host.includes(".") || host.includes(":");
}

/** HOST:PORT, with brackets around an IPv6 address. */
export const joinEndpoint = (host: string, port: number | string): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

export const endpointCure =
  "Say how the client dials the server: `endpoint: HOST:PORT`, such as 203.0.113.7:22.";
