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
import { type FailedSeed, runSeeds } from "./seed_run.ts";

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
    const [found] = await runSeeds(tree, {
      from,
      to: seeds,
      of: bug.shownBy,
      first: true,
      signal,
    });
    if (found === undefined) break;
    const { seed } = found;
    const [same] = await runSeeds(clean, {
      from: seed,
      to: seed,
      of: bug.shownBy,
      first: true,
      signal,
    });
    if (same === undefined) {
      caught = found;
      break;
    }
    unsound.push(same);
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
