/**
 * Coverage plans: which vnodes to ask so that every key is seen, though each
 * key is stored by N of them (riak_core's `riak_core_coverage_plan.erl`).
 *
 * Key space k contains the keys whose first owner is partition k. With N
 * replicas the vnode of partition v holds the key spaces v - N + 1 to v. A plan
 * assigns every key space to as many vnodes as requested, the _primary vnode
 * coverage_, and asks few vnodes for that: it visits every Nth vnode, then
 * those next to them, and first takes vnodes that are useful for all they hold,
 * then those that are useful for less. A vnode that is asked for less than it
 * holds gets a filter.
 *
 * The start of the visit depends on a number, so that the work of many queries
 * spreads over all vnodes.
 *
 * @module
 */

/** The input of a plan. */
export interface CoverageQuery {
  /** Partitions in the ring. */
  readonly ringSize: number;
  /** Number of replicas of a key. */
  readonly n: number;
  /**
   * Number of vnodes that must answer for each key space; at most `n`.
   *
   * @default {1}
   */
  readonly primaryVnodeCoverage?: number;
  /**
   * Where the visit begins: any whole number from 0, preferably different for
   * each query.
   */
  readonly start: number;
  /** Whether the vnode of `partition` can be asked for `keySpace`. */
  readonly available: (partition: number, keySpace: number) => boolean;
  /** The requested key spaces. @default {all} */
  readonly keySpaces?: Iterable<number>;
}

/** A vnode to be asked. */
export interface CoverageVnode {
  readonly partition: number;
  /** The key spaces it is asked for, in ring order. */
  readonly keySpaces: readonly number[];
  /** Whether it holds more than these, and must leave out the rest. */
  readonly filtered: boolean;
}

/** Which vnodes to ask. */
export interface CoveragePlan {
  /** By partition. */
  readonly vnodes: readonly CoverageVnode[];
  /** Key spaces for which fewer vnodes than requested can answer, ascending. */
  readonly missing: readonly number[];
}

/**
 * Plans a coverage query.
 *
 * @throws {RangeError} If `n` is not a whole number from 1 to the ring size, the
 * coverage not one from 1 to `n`, or `start` not one from 0.
 */
export function planCoverage(query: CoverageQuery): CoveragePlan {
  const { ringSize, n, start, available } = query;
  const coverage = query.primaryVnodeCoverage ?? 1;
  requireWhole("n", n, 1, ringSize);
  requireWhole("primaryVnodeCoverage", coverage, 1, n);
  requireWhole("start", start, 0, Number.MAX_SAFE_INTEGER);
  /** How many more vnodes each key space needs. */
  const wants = new Uint16Array(ringSize);
  if (query.keySpaces === undefined) wants.fill(coverage);
  else for (const keySpace of query.keySpaces) wants[keySpace] = coverage;
  const vnodes: CoverageVnode[] = [];
  let order = visitOrder(ringSize, n, start % ringSize);
  for (let useful = n; useful > 0; useful--) {
    order = order.filter((partition) => {
      const keySpaces: number[] = [];
      for (let back = n - 1; back >= 0; back--) {
        const keySpace = (partition - back + ringSize) % ringSize;
        if ((wants[keySpace] as number) > 0 && available(partition, keySpace)) {
          keySpaces.push(keySpace);
        }
      }
      if (keySpaces.length < useful) return true;
      for (const keySpace of keySpaces) (wants[keySpace] as number)--;
      vnodes.push({ partition, keySpaces, filtered: keySpaces.length < n });
      return false;
    });
  }
  vnodes.sort((a, b) => a.partition - b.partition);
  const missing: number[] = [];
  wants.forEach((want, keySpace) => {
    if (want > 0) missing.push(keySpace);
  });
  return { vnodes, missing };
}

/**
 * All partitions: every Nth one from `start`, the furthest first, then those
 * after them.
 */
function visitOrder(ringSize: number, n: number, start: number): number[] {
  const order: number[] = [];
  for (let beside = 0; beside < n; beside++) {
    const count = Math.ceil((ringSize - beside) / n);
    for (let i = count - 1; i >= 0; i--) {
      order.push((start + beside + i * n) % ringSize);
    }
  }
  return order;
}

function requireWhole(
  name: string,
  value: number,
  min: number,
  max: number,
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot plan a coverage query as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
  );
}
