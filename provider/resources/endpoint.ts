/** `HOST:PORT` and `[ADDRESS]:PORT`, taken apart. Inputs are checked to have this form (schema/client.ts). */
export interface Endpoint {
  host: string;
  port: string;
}

export function splitEndpoint(endpoint: string): Endpoint {
  const colon = endpoint.lastIndexOf(":");
  return { host: endpoint.slice(0, colon).replace(/^\[|\]$/g, ""), port: endpoint.slice(colon + 1) };
}

export const joinEndpoint = ({ host, port }: Endpoint): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** The name that ssh looks for in known_hosts. */
export const knownHostName = ({ host, port }: Endpoint): string =>
  port === "22" ? host : `[${host}]:${port}`;
