/**
 * Generations of a ring. Each resize begins a new one, so that partition 5 of
 * 16 and partition 5 of 64, which hold different keys, are never confused while
 * both exist: a _vnode number_ consists of the generation and the partition.
 *
 *     number = generation mod 64 * 1024 + partition
 *
 * A ring that was never resized has generation 0, so its vnodes have the
 * numbers of their partitions. Each further generation gets the next number that
 * tells its size: modulo 8 it is log2 of the size, less 3. So even claimants in
 * two parts of a split cluster, which do not know of each other, give the same
 * number only to rings of the same size, where it means the same keys. Multiples
 * of 64 are left out, as their vnodes would be numbered like those of generation
 * 0, which can have any size.
 *
 * An aborted generation is never used again, since a node that was away may
 * still hold data of it. While the ring keeps its size, no number may be 64 or
 * more beyond its generation. So that they last, from 33 beyond it on each resize
 * gets the next one, whatever its size: at least 34 in a row can be aborted.
 *
 * @module
 */
import { RING_SIZE_MAX, RING_SIZE_MIN } from "./chash.ts";

/**
 * Number of generations whose sizes are known, and that vnode numbers can
 * distinguish.
 */
export const GENERATIONS_KEPT = 64;
/**
 * How far beyond the current generation numbers tell the size. Beyond that, each
 * resize takes one number instead of up to eight, so that more can be aborted.
 */
const TELLING_NUMBERS = GENERATIONS_KEPT / 2;
/** Number of possible ring sizes, which numbers of generations tell apart. */
const RING_SIZES = Math.log2(RING_SIZE_MAX / RING_SIZE_MIN) + 1;

/**
 * The phases of a resize, in order.
 *
 * - `copying`: requests use the current owners, and data follows to the future
 *   ones;
 * - `binding`: a write to the current owners is not acknowledged before the
 *   future ones have it. This can still be undone;
 * - `reading`: reads use the future owners, writes the current ones as before.
 */
export type RingResizePhase = "copying" | "binding" | "reading";

/** A resize in progress, as decided by the claimant. */
export interface RingResize {
  /** The generation of the resized ring. */
  readonly generation: number;
  /** Its owner of each partition. */
  readonly owners: readonly string[];
  /**
   * Term and version of the ownership in which it was decided. They identify
   * it, so that old progress never counts for it.
   */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
  /** Its phase. */
  readonly phase: RingResizePhase;
  /**
   * Term and version of the ownership in which it entered this phase: earlier
   * reports of owners do not count for it.
   */
  readonly since: { readonly term: number; readonly version: number };
}

/** The generations that a ring has had, and the one it will have. */
export interface RingGenerations {
  /** The generation of the current owners. */
  readonly current: number;
  /**
   * The last one that was begun. A resize in progress may be to an earlier one,
   * if it was resumed.
   */
  readonly newest: number;
  /**
   * Sizes of the newest ones, oldest first; 0 for an aborted one. Empty while
   * there is only one.
   */
  readonly sizes: readonly number[];
  /**
   * The size that waits for a commit, or 0 for the abort of the resize in
   * progress; `null` for neither.
   */
  readonly staged: number | null;
  /** The resize in progress. */
  readonly resize: RingResize | null;
}

/** The generations of a new ring. */
export const FIRST_GENERATION: RingGenerations = {
  current: 0,
  newest: 0,
  sizes: [],
  staged: null,
  resize: null,
};

/** The generations of the ring that a node was alone in before it joined. */
export function generationsBefore(
  { generation, size }: RingOrigin,
): RingGenerations {
  return generation === 0 ? FIRST_GENERATION : {
    ...FIRST_GENERATION,
    current: generation,
    newest: generation,
    sizes: [size],
  };
}

/**
 * The generations of the ring of a node that is alone again after it was a
 * member of a ring with those.
 */
export function generationsAlone(left: RingGenerations): RingGenerations {
  return left.resize === null ? { ...left, staged: null } : resizeAborted(left);
}

/** The ring that a node was alone in before it joined. */
export interface RingOrigin {
  /** Its generation, which determines the numbers of its vnodes. */
  readonly generation: number;
  /** Number of partitions. */
  readonly size: number;
}

/**
 * Parses the output of {@linkcode textOfOrigin}; `null` if `text` is anything
 * else.
 */
export function readOrigin(text: unknown): RingOrigin | null {
  const match = typeof text === "string" ? /^(\d+)\/(\d+)$/.exec(text) : null;
  if (match === null) return null;
  const [generation, size] = [Number(match[1]), Number(match[2])];
  const isSize = size >= 1 && size <= RING_SIZE_MAX &&
    (size & (size - 1)) === 0;
  return isSize && Number.isSafeInteger(generation)
    ? { generation, size }
    : null;
}

/** Generation and size as text. */
export function textOfOrigin({ generation, size }: RingOrigin): string {
  return `${generation}/${size}`;
}

/** The part of a ring that determines which vnodes can exist. */
export interface SizedRing {
  /** Number of partitions. */
  readonly size: number;
  /** Their generations. */
  readonly ownership: { readonly generations: RingGenerations };
}

/**
 * The number of the first vnode of `generation`; those of its partitions
 * follow.
 */
export function firstVnodeOf(generation: number): number {
  return generation % GENERATIONS_KEPT * RING_SIZE_MAX;
}

/** The partition of the vnode with this number, in its own generation. */
export function partitionOfVnode(vnode: number): number {
  return vnode % RING_SIZE_MAX;
}

/** The number of the first vnode of the same generation. */
export function firstVnodeBeside(vnode: number): number {
  return vnode - partitionOfVnode(vnode);
}

/** The number of the first vnode of the current owners. */
export function firstVnode({ ownership }: SizedRing): number {
  return firstVnodeOf(ownership.generations.current);
}

/**
 * The relation of a vnode to a ring: of the current, future or former owners,
 * of an aborted resize, or unknown.
 */
export type VnodeAge = "present" | "future" | "former" | "aborted" | "unknown";

/**
 * The relation of the vnode with this number to `ring`.
 *
 * @param origins Of the node that has the vnode, if it holds data of other
 * rings.
 */
export function ageOfVnode(
  ring: SizedRing,
  vnode: number,
  origins: readonly RingOrigin[] = [],
): VnodeAge {
  const { current, resize } = ring.ownership.generations;
  const first = firstVnodeBeside(vnode);
  if (first === firstVnodeOf(current)) return "present";
  if (resize !== null && first === firstVnodeOf(resize.generation)) {
    return "future";
  }
  const size = knownSizes(ring, origins).get(first);
  return size === undefined ? "unknown" : size === 0 ? "aborted" : "former";
}

/**
 * The owner of the partition of the vnode with this number, now or once the
 * resize in progress is done; `undefined` if there is none.
 */
export function ownerOfVnode(
  ring: SizedRing & {
    readonly ownership: { readonly owners: readonly string[] };
  },
  vnode: number,
): string | undefined {
  const { owners, generations } = ring.ownership;
  const partition = partitionOfVnode(vnode);
  switch (ageOfVnode(ring, vnode)) {
    case "present":
      return owners[partition];
    case "future":
      return generations.resize?.owners[partition];
    default:
      return undefined;
  }
}

/**
 * The number of partitions of each generation that may have vnodes, by the
 * number of its first vnode. Aborted ones have none.
 *
 * @param origins Of the node whose vnodes this is about.
 */
export function vnodeSizes(
  ring: SizedRing,
  origins: readonly RingOrigin[] = [],
): Map<number, number> {
  const sizes = knownSizes(ring, origins);
  for (const [first, size] of sizes) if (size === 0) sizes.delete(first);
  return sizes;
}

/** The numbers of the first vnodes of former generations. */
export function formerVnodes(
  ring: SizedRing,
  origins: readonly RingOrigin[] = [],
): number[] {
  return [...vnodeSizes(ring, origins).keys()]
    .filter((first) => ageOfVnode(ring, first, origins) === "former");
}

/**
 * Numbers of the vnodes of `node` whose writes are held until the resized ring
 * has them.
 */
export function boundVnodes(
  ring: SizedRing & {
    readonly ownership: { readonly owners: readonly string[] };
  },
  node: string,
): number[] {
  const { owners, generations: { resize } } = ring.ownership;
  if (resize === null || resize.phase === "copying") return [];
  return owners.flatMap((owner, partition) =>
    owner === node ? [firstVnode(ring) + partition] : []
  );
}

/** Former generations of a ring, oldest first. */
export function formerGenerations(
  { ownership: { generations: { current, newest, sizes } } }: SizedRing,
): RingOrigin[] {
  const oldest = newest - sizes.length + 1;
  return sizes.map((size, i) => ({ generation: oldest + i, size }))
    .filter(({ generation, size }) => size !== 0 && generation < current);
}

/**
 * The newest generation if it was aborted, else `null`. Earlier ones that were
 * aborted cannot be told from numbers that were skipped. The ring does not say how
 * many partitions it had: where its number does not tell, as many as any has.
 */
export function newestAborted(
  { ownership: { generations: { current, newest, sizes } } }: SizedRing,
): RingOrigin | null {
  if (sizes.at(-1) !== 0) return null;
  const size = isTelling(newest, current) ? sizeTold(newest) : RING_SIZE_MAX;
  return { generation: newest, size };
}

/**
 * Number of partitions of a generation; 0 if it was aborted, `undefined` if the
 * ring does not know it.
 */
export function sizeOfGeneration(
  { size, ownership: { generations: { newest, sizes } } }: SizedRing,
  generation: number,
): number | undefined {
  return sizes.length === 0
    ? (generation === newest ? size : undefined)
    : sizes[generation - newest + sizes.length - 1];
}

function knownSizes(
  { size, ownership }: SizedRing,
  origins: readonly RingOrigin[],
): Map<number, number> {
  const { current, newest, sizes, resize } = ownership.generations;
  const known = sizes.length === 0 ? [size] : sizes;
  const byFirst = new Map(
    known.map((each, i) => [
      firstVnodeOf(newest - known.length + 1 + i),
      each,
    ]),
  );
  const own = new Set<number>();
  for (const { generation, size } of origins) {
    const first = firstVnodeOf(generation);
    // This node was given no vnodes of a former generation. For one in use it
    // may have those of both rings (`ring_origin.ts`).
    const isShared = own.has(first) || first === firstVnodeOf(current) ||
      resize !== null && first === firstVnodeOf(resize.generation);
    byFirst.set(
      first,
      isShared ? Math.max(size, byFirst.get(first) ?? 0) : size,
    );
    own.add(first);
  }
  return byFirst;
}

/**
 * The generations after the start of a resize to `owners`, in the ownership of
 * `term` and `version`.
 *
 * @param origins Of members that may still have vnodes with such numbers.
 */
export function resizeBegun(
  before: RingGenerations,
  size: number,
  owners: readonly string[],
  term: number,
  version: number,
  origins: readonly RingOrigin[] = [],
): RingGenerations {
  const generation = nextGeneration(before, owners.length, origins);
  const sizes = [
    ...before.sizes.length === 0 ? [size] : before.sizes,
    // Skipped numbers count as aborted.
    ...new Array<number>(generation - before.newest - 1).fill(0),
    owners.length,
  ];
  return {
    current: before.current,
    newest: generation,
    sizes: sizes.slice(-GENERATIONS_KEPT),
    staged: null,
    resize: resizeTo(generation, owners, term, version),
  };
}

/**
 * Whether a ring can be resized to `generation`: beyond that, its vnodes would be
 * mistaken for the current ones.
 */
export function isWithinReach(
  { current }: Pick<RingGenerations, "current">,
  generation: number,
): boolean {
  return generation > current && generation - current < GENERATIONS_KEPT;
}

/**
 * Whether another resize can begin: there is a number for it that is not used up
 * by an aborted one.
 */
export function hasNextGeneration(
  { current, newest }: RingGenerations,
): boolean {
  return newest < lastGeneration(current);
}

/** The last number for a generation while `current` is in use. */
function lastGeneration(current: number): number {
  const last = current + GENERATIONS_KEPT - 1;
  return firstVnodeOf(last) === 0 ? last - 1 : last;
}

/**
 * The number of the next generation, which has `size` partitions. If too many resizes
 * were aborted for a number that tells the size, it is the next free one; if there is
 * none, the last one.
 */
function nextGeneration(
  { current, newest }: RingGenerations,
  size: number,
  origins: readonly RingOrigin[],
): number {
  const taken = new Set(
    [0, ...origins.map(({ generation }) => generation)].map(firstVnodeOf),
  );
  const last = Math.max(newest + 1, lastGeneration(current));
  const free: number[] = [];
  for (let generation = newest + 1; generation <= last; generation++) {
    if (!taken.has(firstVnodeOf(generation))) free.push(generation);
  }
  return free.find((generation) =>
    !isTelling(generation, current) || tellsSize(generation, size)
  ) ?? free[0] ?? last;
}

/** Whether a number given while `current` was in use tells the size of its ring. */
function isTelling(generation: number, current: number): boolean {
  return generation <= current + TELLING_NUMBERS;
}

/** Whether the number of a generation tells that its ring has `size` partitions. */
function tellsSize(generation: number, size: number): boolean {
  return sizeTold(generation) === size;
}

/** The number of partitions that the number of a generation tells. */
function sizeTold(generation: number): number {
  return RING_SIZE_MIN * 2 ** (generation % RING_SIZES);
}

/** A resize that begins in the ownership of `term` and `version`. */
function resizeTo(
  generation: number,
  owners: readonly string[],
  term: number,
  version: number,
): RingResize {
  return {
    generation,
    owners,
    term,
    version,
    phase: "copying",
    since: { term, version },
  };
}

/**
 * The generations after another part of the cluster's resize is resumed, in the
 * ownership of `term` and `version`: to the ring of `generation`, whose
 * partitions `owners` own.
 */
export function resizeResumed(
  before: RingGenerations,
  size: number,
  { generation }: Pick<RingOrigin, "generation">,
  owners: readonly string[],
  term: number,
  version: number,
): RingGenerations {
  const { newest, sizes } = before;
  const first = newest - Math.max(1, sizes.length) + 1;
  const known = sizes.length === 0 ? [size] : [...sizes];
  // Generations in between belonged to the other part, if they existed.
  while (first + known.length <= generation) known.push(0);
  known[generation - first] = owners.length;
  return {
    current: before.current,
    newest: Math.max(newest, generation),
    sizes: known.slice(-GENERATIONS_KEPT),
    staged: null,
    resize: resizeTo(generation, owners, term, version),
  };
}

/**
 * The generations after the resize in progress has entered `phase`, in the
 * ownership of `term` and `version`.
 */
export function resizeInPhase(
  before: RingGenerations,
  phase: RingResizePhase,
  term: number,
  version: number,
): RingGenerations {
  const { resize } = before;
  return resize === null ? before : {
    ...before,
    // Once something was read from the future owners, it is too late to abort.
    staged: phase === "reading" ? null : before.staged,
    resize: { ...resize, phase, since: { term, version } },
  };
}

/** The generations after the resize in progress was aborted. */
export function resizeAborted(before: RingGenerations): RingGenerations {
  const { newest, sizes, resize } = before;
  const oldest = newest - sizes.length + 1;
  return {
    ...before,
    // A resumed one need not be the newest.
    sizes: sizes.map((size, i) => oldest + i === resize?.generation ? 0 : size),
    staged: null,
    resize: null,
  };
}

/** The generations after the resize in progress is done. */
export function resizeInstalled(before: RingGenerations): RingGenerations {
  return {
    ...before,
    current: before.resize?.generation ?? before.current,
    // It is too late to abort it.
    staged: null,
    resize: null,
  };
}
