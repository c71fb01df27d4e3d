/** `HOST:PORT` and `[ADDRESS]:PORT`, taken apart. Inputs are checked to have this form (schema/client.ts). */
export interface Endpoint {
  host: string;
  port: string;
}

export function splitEndpoint(endpoint: string): Endpoint {
  const colon = endpoint.lastIndexOf(":");
  return { host: endpoint.slice(0, colon).replace(/^\[|\]$/g, ""), port: endpoint.slice(colon + 1) };
}
