/**
 * A session with a node in this process. It answers as a session over TCP
 * would.
 *
 * @module
 */
import { performCall } from "./admin_methods.ts";
import type {
  AdminMethods,
  AdminSession,
  CallOptions,
} from "./admin_protocol.ts";
import { inTime, unlessCancelled } from "./cluster_gather.ts";
import type { WhorlNode } from "./node.ts";

/** A session with `node`. Disposing leaves the node alone. */
export function localSession(node: WhorlNode): AdminSession {
  return {
    node: node.name,
    kv: node.kv,
    raKv: node.raKv,
    async call<Method extends keyof AdminMethods>(
      method: Method,
      args: AdminMethods[Method]["args"],
      options: CallOptions = {},
    ) {
      const answer = await unlessCancelled(options.signal, () => {
        // A copy, as what arrives on a link is nobody else's either.
        const perform = async () =>
          structuredClone(await performCall(node, method, args));
        return options.timeoutMs === undefined
          ? perform()
          : inTime(node.parts.environment, options.timeoutMs, method, perform);
      });
      return answer as AdminMethods[Method]["result"];
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
