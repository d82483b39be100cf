/**
 * The bugs that are planted into copies of this tree: small patches on files of
 * `src/` and `supervisors/`, each with the mistake of a good day in it. A file
 * begins with what is wrong and which checks should see it:
 *
 *     A replica that … takes a merge for done.
 *     Caught by: convergence
 *
 *     --- a/src/kv/kv_vnode.ts
 *     …
 *
 * A line `Profile: membership` before the checks says what kind of schedule shows
 * it, or `Story: ensemble_faults` which story; without one it is the smallest.
 *
 * @module
 */
import { SCHEDULE_PROFILES } from "../../src/simulation/mod.ts";
import { SCENARIOS } from "../simulation/scenarios/scenario_table.ts";
import { fromFileUrl } from "./places.ts";

/** Where the patches are. */
export const PATCHES: string = fromFileUrl("./patches/");

/** A bug to be planted. */
export interface PlantedBug {
  /** The name of its patch, without `.patch`. */
  readonly name: string;
  /** What is wrong. */
  readonly what: string;
  /** Seeds of what show it: a profile of schedules, or a story. */
  readonly shownBy: string;
  /** What should catch it. */
  readonly caughtBy: string;
  /** Where its patch is. */
  readonly path: string;
  /** The files it changes. */
  readonly files: readonly string[];
}

const CAUGHT_BY = "Caught by: ";
const SHOWN_BY = /^(Profile|Story): (.*)$/m;

/** What there are seeds of. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  Profile: SCHEDULE_PROFILES,
  Story: SCENARIOS.map(({ name }) => name),
};

/**
 * All bugs, by name; or those of the given names, in their order.
 *
 * @throws {TypeError} If a patch says not what is wrong, or there is none of a name.
 */
export async function readPlantedBugs(
  names: readonly string[] = [],
): Promise<readonly PlantedBug[]> {
  const bugs = new Map<string, PlantedBug>();
  for (const { name } of Deno.readDirSync(PATCHES)) {
    if (!name.endsWith(".patch")) continue;
    const path = `${PATCHES}${name}`;
    const bug = readPlantedBug(path, await Deno.readTextFile(path));
    bugs.set(bug.name, bug);
  }
  if (names.length === 0) {
    return [...bugs.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }
  return names.map((name) => {
    const bug = bugs.get(name);
    if (bug !== undefined) return bug;
    throw new TypeError(`There is no planted bug ${name}: see --list`);
  });
}

/** What the text of a patch says of itself. @throws {TypeError} If it does not. */
export function readPlantedBug(path: string, text: string): PlantedBug {
  const name = path.slice(path.lastIndexOf("/") + 1, -".patch".length);
  const [whole = ""] = text.split(/^--- /m, 1);
  const [, kind = "Profile", shownBy = "small"] = SHOWN_BY.exec(whole) ?? [];
  const known = KNOWN[kind] ?? [];
  if (!known.includes(shownBy)) {
    throw new TypeError(
      `Cannot plant ${name} as there is no ${kind.toLowerCase()} ${shownBy}: there are ${
        known.join(", ")
      }`,
    );
  }
  const head = whole.replace(SHOWN_BY, "");
  const at = head.indexOf(CAUGHT_BY);
  const what = head.slice(0, Math.max(0, at)).trim().replaceAll("\n", " ");
  const caughtBy = at < 0 ? "" : head.slice(at + CAUGHT_BY.length).trim()
    .replaceAll("\n", " ");
  if (what === "" || caughtBy === "") {
    throw new TypeError(
      `Cannot plant ${name} as its patch must begin with what is wrong and a line "${CAUGHT_BY}…"`,
    );
  }
  const files = [...text.matchAll(/^\+\+\+ b\/(\S+)/gm)]
    .map(([, file]) => file as string);
  return { name, what, shownBy, caughtBy, path, files };
}
