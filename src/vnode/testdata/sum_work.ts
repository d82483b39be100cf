/**
 * A job for tests of pools of workers: it sums, or gets into trouble.
 *
 * @module
 */

/** What it can be asked. */
export type SumJob =
  | { readonly type: "sum"; readonly upTo: number }
  /** Throws. */
  | { readonly type: "throw" }
  /** Ends the whole worker. */
  | { readonly type: "die" }
  /** Never ends. */
  | { readonly type: "hang" }
  /** What cannot be sent. */
  | { readonly type: "unsendable" };

/** Does one job. */
export default function work(job: SumJob): unknown {
  switch (job.type) {
    case "sum": {
      let sum = 0;
      for (let i = 1; i <= job.upTo; i++) sum += i;
      return sum;
    }
    case "throw":
      throw new RangeError("It does not add up");
    case "die":
      queueMicrotask(() => {
        throw new Error("It is too much");
      });
      return new Promise(() => {});
    case "hang":
      return new Promise(() => {});
    case "unsendable":
      return () => {};
  }
}
