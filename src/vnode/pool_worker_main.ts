/**
 * The program of a pool's worker: it loads the module's work function and calls
 * it for each message. Its parent sends one message at a time and waits for the
 * answer.
 *
 *     to it:   MessagePack of what the function takes
 *     from it: MessagePack of `[true, what it returned]` or `[false, why it failed]`
 *
 * @module
 */
import type { Program } from "../../supervisors/program.ts";
import { reasonOf } from "../base/errors.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";

/** The start message of such a worker. */
export interface PoolWorkerArgs {
  /** URL of the file whose default export is the function. */
  readonly url: string;
}

const program: Program = async (context) => {
  const { url } = context.args as PoolWorkerArgs;
  const { default: work } = await import(url) as { default?: unknown };
  if (typeof work !== "function") {
    throw new TypeError(
      `Cannot run work of ${url} as it must export a function by default: it exports ${typeof work}`,
    );
  }
  context.onMessage(async (message) => {
    let answer: Uint8Array<ArrayBuffer>;
    try {
      const output: unknown = await work(decodeMsgpack(message));
      answer = encodeMsgpack([true, output ?? null]);
    } catch (error) {
      answer = encodeMsgpack([false, reasonOf(error)]);
    }
    // A copy: the buffer is transferred with the message and may be the
    // encoder's own.
    context.send(answer.slice());
  });
  return {};
};

export default program;
