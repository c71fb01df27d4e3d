/**
 * A firewall that resets: what the client hears of a TCP connection with the server's sshd is a reset, each packet of it.
 * Made of tc, since the lab's kernel has neither nftables for IPv4 nor `ss -K`.
 */
import { on } from "./lab";

export const beginResets = (): Promise<unknown> =>
  on(
    "client",
    `tc qdisc add dev vec0 clsact &&
     tc filter add dev vec0 ingress protocol ip flower ip_proto tcp src_ip "$(getent hosts server | cut -d' ' -f1)" src_port 22 \\
       action pedit ex munge tcp flags set 0x14 pipe action csum ip4h and tcp`,
  );

export const endResets = (): Promise<unknown> => on("client", "tc qdisc del dev vec0 clsact");
