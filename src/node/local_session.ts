/**
 * A session with a node of this process, for whoever is written against
 * sessions: what it answers is what a session over TCP would.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { performCall } from "./admin_methods.ts";
import type {
  AdminMethods,
  AdminSession,
  CallOptions,
} from "./admin_protocol.ts";
import { inTime } from "./cluster_gather.ts";
import type { WhorlNode } from "./node.ts";

/** A session with `node`. Disposing leaves the node alone. */
export function localSession(node: WhorlNode): AdminSession {
  return {
    node: node.name,
    kv: node.kv,
    async call<Method extends keyof AdminMethods>(
      method: Method,
      args: AdminMethods[Method]["args"],
      options: CallOptions = {},
    ) {
      const answer = await unlessCancelled(options.signal, () => {
        // What arrives on a link is nobody else's either.
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

/** Does `work`, and fails with `cancelled` once `signal` fires. */
async function unlessCancelled<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return await work();
  const cancelled = Promise.withResolvers<never>();
  const onAbort = () =>
    cancelled.reject(
      new WhorlError("cancelled", "The call was cancelled"),
    );
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([
      cancelled.promise,
      signal.aborted ? cancelled.promise : work(),
    ]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
