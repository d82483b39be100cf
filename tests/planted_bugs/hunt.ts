/**
 * Plants one bug and runs seeds until a check sees it.
 *
 * A seed counts only if the tree without the bug passes it: a run depends on
 * nothing but its seed and the code, so then it is the bug that was seen.
 *
 * @module
 */
import type { PlantedBug } from "./planted_bug.ts";
import { PlantedTree } from "./planted_tree.ts";
import { type FailedSeed, runSeeds, SEED_MS_MAX } from "./seed_run.ts";

/** What came of a hunt. */
export interface Hunt {
  readonly bug: PlantedBug;
  /** What caught it; undefined if nothing did. */
  readonly caught: FailedSeed | undefined;
  /** Seeds that were run. */
  readonly seeds: number;
  /** How long that took, in milliseconds. */
  readonly tookMs: number;
  /** Seeds that fail without the bug as well, and so say nothing. */
  readonly unsound: readonly FailedSeed[];
}

/** How much longer a seed may take with a bug than without, until it counts as stuck. */
const SLOWER_MAX = 10;

/** How far to go. */
export interface HuntOptions {
  /** Seeds 1 to this one are tried. */
  readonly seeds: number;
  /** The tree without any bug. */
  readonly clean: PlantedTree;
  /** Whether to let the compiler look at the code first. */
  readonly typeCheck: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Hunts for `bug`.
 *
 * @throws {PlantingError} If it cannot be planted.
 */
export async function hunt(
  bug: PlantedBug,
  { seeds, clean, typeCheck, signal }: HuntOptions,
): Promise<Hunt> {
  const begunAt = performance.now();
  await using tree = await PlantedTree.copy(clean);
  await tree.plant(bug);
  if (typeCheck) await tree.typeCheck();
  const unsound: FailedSeed[] = [];
  let from = 1;
  let caught: FailedSeed | undefined;
  while (from <= seeds) {
    let [found] = await runSeeds(tree, {
      from,
      to: seeds,
      of: bug.shownBy,
      first: true,
      signal,
    });
    if (found === undefined) break;
    const { seed } = found;
    const one = { from: seed, to: seed, of: bug.shownBy, first: true, signal };
    const cleanBegunAt = performance.now();
    const [same] = await runSeeds(clean, {
      ...one,
      seedMsMax: SLOWER_MAX * SEED_MS_MAX,
    });
    if (found.check === "hangs") {
      // On a machine that has other things to do it may only have been slow.
      const cleanMs = performance.now() - cleanBegunAt;
      [found] = await runSeeds(tree, {
        ...one,
        seedMsMax: Math.max(SEED_MS_MAX, SLOWER_MAX * cleanMs),
      });
    }
    if (found !== undefined && same === undefined) {
      caught = found;
      break;
    }
    if (same !== undefined) unsound.push(same);
    from = seed + 1;
  }
  return {
    bug,
    caught,
    seeds: caught?.seed ?? seeds,
    tookMs: performance.now() - begunAt,
    unsound,
  };
}
