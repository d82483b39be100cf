/**
 * The keys of a simulated cluster of `ra_kv`, as named by clients and by
 * histories. A history has one name for keys that are written together, since
 * they are judged together.
 *
 * @module
 */
import type { GroupWrite } from "../checkers/group_writes.ts";
import type { RaKvInput, RaKvOutput } from "../checkers/ra_kv_model.ts";
import type { OperationRecord } from "../history.ts";

/** Default number of keys that are written one by one. */
export const PLAIN_KEYS = 4;
/** Keys whose values have a TTL, with that TTL in milliseconds. */
export const FLEETING_KEYS: ReadonlyMap<string, number> = new Map([
  ["brief", 250],
  ["lease", 1_500],
]);
/** Keys that are written together. */
export const PAIR: readonly string[] = ["left", "right"];
const PAIR_NAME = "pair";

/** One key. */
export interface Place {
  readonly group: string;
  readonly key: string;
  /** Its name in the history. */
  readonly name: string;
  /** Fields added to each input. */
  readonly about: { readonly place?: number; readonly fleeting?: true };
}

/** The key `key` of `group`. */
export function placeOf(group: string, key: string): Place {
  const place = PAIR.indexOf(key);
  return {
    group,
    key,
    name: nameOf(group, place < 0 ? key : PAIR_NAME),
    about: {
      ...(place < 0 ? {} : { place }),
      ...(FLEETING_KEYS.has(key) ? { fleeting: true } : {}),
    },
  };
}

/** The pair of keys of `group` that is written together. */
export function pairOf(group: string): Place {
  return { group, key: "", name: nameOf(group, PAIR_NAME), about: {} };
}

function nameOf(group: string, key: string): string {
  return `${group}/${key}`;
}

/** A key that is written alone, by its number. */
export function plainKey(number: number): string {
  return `k${number}`;
}

/** The key in its group, from its name in a history. */
export function keyOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

/** Options for a put of `key`: its TTL, if any. */
export function ttlOf(key: string): { readonly ttlMs?: number } {
  const ttlMs = FLEETING_KEYS.get(key);
  return ttlMs === undefined ? {} : { ttlMs };
}

/** Every key of a group. */
export function groupKeys(): string[] {
  return [
    ...Array.from({ length: PLAIN_KEYS }, (_, number) => plainKey(number)),
    ...FLEETING_KEYS.keys(),
    ...PAIR,
  ];
}

/** Every key that was used, in all groups. */
export function placesOf(
  history: readonly OperationRecord<RaKvInput, RaKvOutput>[],
): readonly Place[] {
  const names = new Set(history.map(({ key }) => key));
  return [...names].sort().flatMap((name) => {
    const group = groupIn(name);
    const key = keyOf(name);
    return (key === PAIR_NAME ? PAIR : [key]).map((key) => placeOf(group, key));
  });
}

function groupIn(name: string): string {
  return name.slice(0, name.indexOf("/"));
}

/** What was or may have been written in `group`, by key. */
export function groupWrites(
  history: readonly OperationRecord<RaKvInput, RaKvOutput>[],
  group: string,
): GroupWrite[] {
  return history.flatMap(({ key: name, input, outcome, output }) => {
    if (groupIn(name) !== group || outcome === "failed") return [];
    if (input.type === "get" || output === false) return [];
    const index = typeof output === "number" ? output : undefined;
    if (input.type === "batch") {
      return input.changes.map(({ place, value }): GroupWrite => ({
        key: PAIR[place] as string,
        value,
        index,
        mayBeNothing: value === null,
      }));
    }
    const { place } = input;
    return [{
      key: place === undefined ? keyOf(name) : PAIR[place] as string,
      value: input.type === "delete" ? null : input.value,
      index,
      mayBeNothing: false,
    }];
  });
}
